#pragma once
/// What the probes share: a store on a device that can lose power, a model of what it holds, random operations.
/// Plain C++ without a test framework, so that a mutant is compiled in a few seconds.

#include <ashlar/ashlar.hpp>
#include <ashlar/device/memory_device.hpp>
#include <ashlar/journal/ring_journal.hpp>
#include <ashlar/testing/crash_states.hpp>
#include <ashlar/testing/random_bits.hpp>
#include <ashlar/testing/small_machine.hpp>
#include <ashlar/threading/single_threaded.hpp>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace probe {

using namespace ashlar;
using byte_vector = std::vector<std::byte>;
using state       = std::map<std::uint64_t, byte_vector>;  ///< The bytes of each object.

/// Where the run is, for the message of a failure.
inline std::string& place() {
    static std::string text;
    return text;
}

[[noreturn]] inline void fail(const std::string& what) {
    std::fprintf(stderr, "FAILED: %s (%s)\n", what.c_str(), place().c_str());
    std::exit(1);
}
inline void check(bool holds, const std::string& what) {
    if (!holds) fail(what);
}
template <class T>
void check(const result<T>& done, const std::string& what) {
    if (!done)
        fail(what + ": " + std::string{message(done.error().code)} + " at block " +
             std::to_string(done.error().where.value));
}

/// What lies below the watch: calls without a type, so that every probe has one store type.
struct calls {
    virtual ~calls()                                                  = default;
    virtual device_geometry geometry()                                = 0;
    virtual result<>        read(extent, std::span<std::byte>)        = 0;
    virtual result<>        write(extent, std::span<const std::byte>) = 0;
    virtual result<>        sync()                                    = 0;
    virtual result<>        trim(extent)                              = 0;
};
template <class D>
struct calls_of final : calls {
    explicit calls_of(D& real) : device{real} {}
    device_geometry geometry() override { return device.geometry(); }
    result<>        read(extent e, std::span<std::byte> in) override { return device.read(e, in); }
    result<>        write(extent e, std::span<const std::byte> out) override { return device.write(e, out); }
    result<>        sync() override { return device.sync(); }
    result<>        trim(extent e) override { return device.trim(e); }
    D&              device;
};

/// The process that uses the device: it can die at a write, after which every call fails. It also remembers which data
/// blocks the newest acknowledged batch lists.
class watch {
  public:
    explicit watch(calls& below) : below_{below} {}

    /// 0: lives on.
    void die_after(std::uint64_t writes) {
        left_ = writes;
        dead_ = false;
    }
    [[nodiscard]] bool dead() const { return dead_; }
    void               lies(extent ring, block_index data_first) {
                      ring_ = ring;
                      data_ = data_first;
                      listed_.clear();
                      written_.clear();
    }
    [[nodiscard]] const std::vector<block_index>& listed() const { return listed_; }
    [[nodiscard]] std::uint64_t                   batches() const { return batches_; }
    void                                          fail_next_sync() { fails_ = true; }
    void                                          fail_next_write() { fails_write_ = true; }
    void                                          lose_write_to(block_index block) { lost_ = block; }

    device_geometry geometry() { return below_.geometry(); }
    result<>        read(extent e, std::span<std::byte> in) {
               if (dead_) return error{errc::device_failed, e.first};
        return below_.read(e, in);
    }
    result<> write(extent e, std::span<const std::byte> out) {
        if (dead_) return error{errc::device_failed, e.first};
        if (fails_write_) {
            fails_write_ = false;
            return error{errc::device_failed, e.first};
        }
        if (e.contains(lost_)) {
            lost_ = {~std::uint64_t{0}};
            return success();
        }
        auto done = below_.write(e, out);
        in_ring_  = ring_.contains(e.first);
        for (block_count i{}; e.first >= data_ && i < e.count; i += block_count{1}) written_.push_back(e.first + i);
        if (left_ != 0 && --left_ == 0) dead_ = true;
        return done;
    }
    result<> sync() {
        if (dead_) return errc::device_failed;
        if (fails_) {
            fails_ = false;
            return errc::device_failed;
        }
        BOOST_OUTCOME_TRY(below_.sync());
        if (in_ring_) {
            listed_ = written_;
            ++batches_;
        }
        written_.clear();
        in_ring_ = false;
        return success();
    }
    result<> trim(extent e) {
        if (dead_) return error{errc::device_failed, e.first};
        return below_.trim(e);
    }

  private:
    calls&                   below_;
    std::uint64_t            left_ = 0, batches_ = 0;
    extent                   ring_{};
    block_index              data_{}, lost_{~std::uint64_t{0}};
    std::vector<block_index> listed_, written_;
    bool                     dead_ = false, in_ring_ = false, fails_ = false, fails_write_ = false;
};

/// What the store holds of a watch.
struct watched {
    watch*                        at = nullptr;
    [[nodiscard]] device_geometry geometry() const noexcept { return at->geometry(); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept { return at->read(e, in); }
    [[nodiscard]] result<>        write(extent e, std::span<const std::byte> out) noexcept { return at->write(e, out); }
    [[nodiscard]] result<>        sync() noexcept { return at->sync(); }
    [[nodiscard]] result<>        trim(extent e) noexcept { return at->trim(e); }
};

struct crash_blueprint : blueprint {
    using device    = watched;
    using journal   = ring_journal;
    using threading = single_threaded;
};

using crash_store = store<crash_blueprint>;

/// A small volume: its ring is lapped after some batches, its cache is small.
struct shape {
    std::uint32_t block_bytes    = 512;
    std::uint64_t blocks         = 900;
    std::uint64_t journal_blocks = 96;
    std::size_t   cache_blocks   = 64;
    std::size_t   listed_blocks  = 48;  ///< Of one batch.
};

inline volume_limits limits_of(const shape& s) {
    auto limits            = small_limits();
    limits.cache_blocks    = s.cache_blocks;
    limits.unsynced_blocks = s.listed_blocks;
    limits.staging_bytes   = 16384;
    if (s.cache_blocks < 48) limits.transaction.shadows = s.cache_blocks - 8;
    return limits;
}

inline format_options format_of(const shape& s) {
    format_options options;
    for (std::size_t i = 0; i < options.volume.size(); ++i) options.volume[i] = static_cast<std::byte>(i + 1);
    options.journal_blocks = {s.journal_blocks};
    return options;
}

/// Bytes that tell from which write they are; none is zero.
inline byte_vector pattern(std::size_t bytes, std::uint64_t seed) {
    byte_vector made(bytes);
    random_bits{seed * 2 + 1}.fill(made);
    for (auto& one : made) one |= std::byte{1};
    return made;
}

/// What a store holds. Empty after an error of reading.
template <class Store>
std::optional<state> read_all(Store& opened) {
    state     found;
    object_id at{};
    for (;;) {
        const auto next = opened.next_object(at);
        if (!next) return std::nullopt;
        if (!next.value()) return found;
        at              = *next.value();
        const auto size = opened.size(at);
        if (!size || size.value() > (1U << 24U)) return std::nullopt;
        byte_vector bytes(static_cast<std::size_t>(size.value()));
        const auto  read = opened.read(at, 0, std::span<std::byte>{bytes});
        if (!read || read.value() != bytes.size()) return std::nullopt;
        found[at.value] = std::move(bytes);
    }
}

template <class Store>
void check_whole(Store& opened, const std::string& when) {
    std::string what;
    const auto  report = opened.verify([&](const verify_finding& found) {
        if (what.size() < 200)
            what += std::string{name_of(found.problem)} + " at block " + std::to_string(found.block.value) + "; ";
    });
    check(report, "verify " + when);
    check(report.value().findings == 0, when + ": " + what);
}

inline state read_or_fail(auto& opened, const std::string& when) {
    auto found = read_all(opened);
    if (!found) fail("cannot read " + when);
    return std::move(*found);
}

/// Random operations, mirrored in a model. An operation that fails leaves what it would have made in `after`.
template <class Store>
class operations {
  public:
    operations(std::uint64_t seed, object_id root) : random{seed}, root_{root} { now[root.value] = {}; }

    state       now;              ///< What the store shows.
    state       after;            ///< What it shows if the operation under way succeeds.
    bool        durable = false;  ///< The last operation promised everything so far.
    error       why{};            ///< Of the last operation.
    const char* what = "";
    random_bits random;
    bool        trims = true;

    /// One operation; false when it failed.
    bool step(Store& opened) {
        durable = false;
        why     = {};
        after   = now;
        run(opened);
        if (why.code != errc::none) return false;
        now = after;
        return true;
    }

  private:
    static constexpr std::size_t size_max = 9000;

    std::uint64_t any() {
        auto at = after.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(random.below(after.size())));
        return at->first;
    }
    template <class T>
    void ended(const char* name, const result<T>& done, bool promises = false) {
        what    = name;
        durable = promises && done.has_value();
        if (!done) why = done.error();
    }

    void run(Store& opened) {
        const auto kind = random.below(100);
        if (kind < 40) return change(opened);
        if (kind < 55) return ended("sync", opened.sync(), true);
        if (kind < 65) return commit(opened);
        if (kind < 67) return ended("checkpoint", opened.checkpoint(), true);
        if (kind < 70 && trims) return ended("trim", opened.trim(block_count{1 + random.below(40)}));
        if (kind < 72) return ended("maintain", opened.maintain());
        if (kind < 80 && after.size() < 8) return create(opened);
        if (kind < 86) return erase(opened);
        change(opened);
    }

    void create(auto& opened) {
        const auto made = opened.create();
        if (made) after[made.value().value] = {};
        ended("create", made);
    }
    void erase(auto& opened) {
        const auto id = any();
        if (object_id{id} == root_) return;
        after.erase(id);
        ended("erase", opened.erase(object_id{id}));
    }
    void commit(Store& opened) {
        auto begun = opened.begin();
        if (!begun) return ended("begin", begun);
        auto tx = std::move(begun).value();
        for (std::uint64_t i = 0; i < 1 + random.below(3) && why.code == errc::none; ++i) change(tx);
        if (why.code == errc::none) ended("commit", tx.commit(), true);
    }

    /// Works on a store and on a transaction.
    void change(auto& opened) {
        const auto id    = any();
        auto&      bytes = after[id];
        const auto kind  = random.below(8);
        if (kind == 0) {
            const auto size = random.below(bytes.size() + 1);
            bytes.resize(size);
            return ended("truncate", opened.truncate(object_id{id}, size));
        }
        if (kind == 1) {
            const auto offset = random.below(bytes.size() + 1), length = random.below(2500);
            for (auto i = offset; i < bytes.size() && i < offset + length; ++i) bytes[i] = std::byte{0};
            return ended("punch", opened.punch(object_id{id}, offset, length));
        }
        const auto data =
            pattern(static_cast<std::size_t>(1 + random.below(random.below(3) == 0 ? 3000 : 600)), random.next());
        const auto offset = random.below(bytes.size() + 600) % (size_max - data.size());
        if (bytes.size() < offset + data.size()) bytes.resize(offset + data.size());
        std::memcpy(bytes.data() + offset, data.data(), data.size());
        ended("write", opened.write(object_id{id}, offset, data));
    }

    object_id root_{};
};

/// What a probe's main does: runs the scenario that the first word names, or all of them without words, and says which
/// held. The next words are the seed and, for a scenario that has them, the number of lives. Answers the exit code: 2
/// where no scenario has that name.
template <class Scenarios>
int run_chosen(int count, char** words, const Scenarios& scenarios) {
    const auto number = [&](int at, std::uint64_t otherwise) {
        return count > at ? std::strtoull(words[at], nullptr, 10) : otherwise;
    };
    const std::string_view chosen = count > 1 ? words[1] : "";
    const std::uint64_t    seed   = number(2, 1);
    bool                   ran    = false;
    for (const auto& one : scenarios) {
        if (!chosen.empty() && chosen != one.name) continue;
        place() = {};
        if constexpr (requires { one.lives; }) {
            one.run(seed, number(3, one.lives));
        } else {
            one.run(seed);
        }
        std::printf("%.*s: seed %llu held\n", static_cast<int>(one.name.size()), one.name.data(),
                    static_cast<unsigned long long>(seed));
        std::fflush(stdout);
        ran = true;
    }
    return ran ? 0 : 2;
}

}  // namespace probe
