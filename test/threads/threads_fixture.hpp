#pragma once
/// Stores that many threads use at once, on memory and on files.

#include "../store/store_fixture.hpp"

#include <ashlar/defrag_policy/best_gain.hpp>
#include <ashlar/device/file_device.hpp>
#include <ashlar/hosted/maintenance_thread.hpp>
#include <ashlar/hosted/multi_threaded.hpp>
#include <ashlar/testing/faulty_device.hpp>

#include <unistd.h>

#include <atomic>
#include <cctype>
#include <cstdio>
#include <optional>
#include <thread>

namespace ashlar::test {

struct threaded_blueprint : test_blueprint<> {
    using threading = multi_threaded;
    using defrag    = best_gain;
};
using threaded_store = store<threaded_blueprint>;

/// Room for every thread of a test, and for what it has open.
inline volume_limits threaded_limits() {
    volume_limits limits = small_limits();
    limits.cache_blocks  = 256;
    limits.transactions  = 16;
    return limits;
}

inline threaded_store::options threaded_options(volume_limits limits = threaded_limits()) {
    auto options   = with<threaded_store>(limits);
    options.defrag = eager_defragmenter();
    return options;
}

template <BlockDevice D>
threaded_store open_threaded(D& device, volume_limits limits = threaded_limits()) {
    auto opened = threaded_store::open(any_device{device}, threaded_options(limits));
    EXPECT_TRUE(opened) << said(opened);
    return opened ? std::move(opened).value() : threaded_store{};
}

/// Runs `work(number)` in so many threads, which begin together, and waits for all of them.
template <class Work>
void in_threads(std::size_t count, Work work) {
    std::atomic<std::size_t> ready{0};
    std::vector<std::thread> running;
    for (std::size_t i = 0; i < count; ++i) {
        running.emplace_back([&, i] {
            for (++ready; ready < count;) std::this_thread::yield();
            work(i);
        });
    }
    for (auto& one : running) one.join();
}

/// Now and then lets another thread go first, so that few processors mix the threads' calls too.
inline void mix_threads(random_bits& random) {
    if (random.below(4) == 0) std::this_thread::yield();
}

/// Defragments without a rest until it is destroyed.
class restless_maintenance {
  public:
    explicit restless_maintenance(threaded_store& on) : runs_{on, {.budget = {.blocks_max = 12}, .idle_interval = {}}} {
        EXPECT_TRUE(runs_.start());
    }
    [[nodiscard]] maintenance_status status() const { return runs_.status(); }

  private:
    maintenance_thread<threaded_store> runs_;
};

/// Whether the store refused a call only for the time being, because another transaction holds what it needs.
template <class T>
bool was_busy(const result<T>& answer) {
    return !answer && answer.error().code == errc::busy;
}

/// Calls again until nobody else is in the way.
template <class Call>
auto insist(Call call) {
    auto answer = call();
    while (was_busy(answer)) {
        std::this_thread::yield();
        answer = call();
    }
    return answer;
}

/// A block that tells which write it is from; every word of it, so that a mixture of two is noticed.
inline void fill_block(std::span<std::byte> block, std::uint64_t value) {
    for (std::size_t at = 0; at < block.size(); at += 8) {
        const std::uint64_t word = value ^ (at * 0x9E37'79B9'7F4A'7C15U);
        std::memcpy(block.data() + at, &word, sizeof word);
    }
}
inline byte_vector filled_block(std::size_t bytes, std::uint64_t value) {
    byte_vector made(bytes);
    fill_block(made, value);
    return made;
}

/// Which write a block is from: 0 for a hole, nothing for a mixture.
inline std::optional<std::uint64_t> value_of(std::span<const std::byte> block) {
    std::uint64_t value = 0;
    std::memcpy(&value, block.data(), sizeof value);
    const byte_vector expected = value == 0 ? byte_vector(block.size()) : filled_block(block.size(), value);
    if (std::memcmp(expected.data(), block.data(), block.size()) != 0) return std::nullopt;
    return value;
}

/// A device whose calls exclude each other. What moves is read beside writes of the same blocks: a region that is
/// written meanwhile, and an extent that was freed, and is another one's by now, until the move notices. Plain memory
/// is not made for that.
using locked_memory = faulty_device<memory_device>;

/// On what a test runs.
enum class medium { memory, file };

/// A formatted device on either; the file lies in the current folder and goes with it.
class threaded_device {
  public:
    threaded_device(medium on, const volume_shape& shape) {
        if (on == medium::memory) {
            memory_.emplace(make_memory(shape));
            locked_.emplace(*memory_);
        } else {
            path_       = path();
            auto opened = file_device::open(
                path_.c_str(),
                {.block_bytes = shape.block_bytes, .create = true, .bytes = shape.blocks * shape.block_bytes});
            EXPECT_TRUE(opened) << said(opened);
            if (opened) file_.emplace(std::move(opened).value());
        }
        auto any = device();
        ASHLAR_EXPECT_OK(threaded_store::format(any, shape.format()));
    }
    ~threaded_device() {
        if (!path_.empty()) std::remove(path_.c_str());
    }
    threaded_device(const threaded_device&)            = delete;
    threaded_device& operator=(const threaded_device&) = delete;

    [[nodiscard]] any_device     device() { return locked_ ? any_device{*locked_} : any_device{*file_}; }
    [[nodiscard]] threaded_store open(const threaded_store::options& options = threaded_options()) {
        auto opened = threaded_store::open(device(), options);
        EXPECT_TRUE(opened) << said(opened);
        return opened ? std::move(opened).value() : threaded_store{};
    }

  private:
    static std::string path() {
        std::string name = "threads_" + std::to_string(::getpid()) + '_' +
                           testing::UnitTest::GetInstance()->current_test_info()->name() + ".ash";
        for (auto& letter : name)
            letter = std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '.' ? letter : '_';
        return name;
    }

    std::string                  path_;
    std::optional<memory_device> memory_;
    std::optional<locked_memory> locked_;
    std::optional<file_device>   file_;
};

inline std::string name_of_medium(const testing::TestParamInfo<medium>& info) {
    return info.param == medium::memory ? "Memory" : "File";
}

}  // namespace ashlar::test
