// A process to be killed: threads that write, and one that defragments, on a file or block device. Beside the volume
// lies a log of what was begun and what was acknowledged, and after a kill the same program finds out whether the
// volume holds what the log allows.
//
//     kill_writer file|native make  VOLUME LOG       makes a volume and its objects
//     kill_writer file|native work  VOLUME LOG SEED  writes until it is killed
//     kill_writer file|native check VOLUME LOG SEED  after the kill: opens, compares, verifies
//
// Each thread has objects of its own and changes them in an order that the seed decides. So what may be found of a
// thread is the state after any number of its changes between those that were acknowledged and those that were begun;
// `check` writes what it found into LOG.state, from which the next life goes on.

#include <ashlar/ashlar.hpp>
#include <ashlar/defrag_policy/best_gain.hpp>
#include <ashlar/device/native_device.hpp>
#include <ashlar/hosted/maintenance_thread.hpp>
#include <ashlar/hosted/multi_threaded.hpp>
#include <ashlar/testing/random_bits.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace ashlar;

constexpr std::size_t   writers         = 3;
constexpr std::size_t   objects_each    = 4;
constexpr std::size_t   bytes_max       = 60'000;
constexpr std::uint64_t volume_bytes    = std::uint64_t{12} << 20U;
constexpr std::size_t   changes_in_life = 100'000;

using contents = std::array<std::vector<std::byte>, objects_each>;

[[noreturn]] void fail(const std::string& why) {
    std::printf("kill_writer: %s\n", why.c_str());
    std::exit(1);
}

template <class T>
T must(result<T> got, const char* what) {
    if (!got) fail(std::string{what} + " answers error " + std::to_string(static_cast<int>(got.error().code)));
    return std::move(got).value();
}
void must(const result<>& got, const char* what) {
    if (!got) fail(std::string{what} + " answers error " + std::to_string(static_cast<int>(got.error().code)));
}

enum class verb : std::uint8_t { write, append, truncate, punch };

struct change {
    verb                   what   = verb::write;
    std::size_t            object = 0;
    std::size_t            offset = 0;  // Of an append: not used. Of a truncation: the size.
    std::size_t            length = 0;  // Of a punch.
    std::vector<std::byte> bytes{};
    bool                   sync = false;  // Afterwards.
};

/// The changes of one thread in one life, one after the other.
class change_source {
  public:
    change_source(std::uint64_t seed, std::size_t thread) : random_{seed * writers + thread + 1} {}

    change next() {
        change     one;
        const auto kind = random_.next() % 16;
        one.object      = random_.next() % objects_each;
        one.offset      = random_.next() % (bytes_max - 12'000);
        one.length      = 1 + random_.next() % 12'000;
        one.what        = kind < 9 ? verb::write : kind < 13 ? verb::append : kind < 15 ? verb::punch : verb::truncate;
        if (one.what == verb::write || one.what == verb::append) {
            one.bytes.resize(one.length);
            random_.fill(one.bytes);
        }
        one.sync = random_.next() % 4 == 0;
        return one;
    }

  private:
    random_bits random_;
};

/// What the change makes of the contents. An append that would grow too far is none.
bool change_contents(const change& one, contents& all) {
    auto& object = all[one.object];
    switch (one.what) {
        case verb::write:
            if (object.size() < one.offset + one.bytes.size()) object.resize(one.offset + one.bytes.size());
            std::memcpy(object.data() + one.offset, one.bytes.data(), one.bytes.size());
            return true;
        case verb::append:
            if (object.size() + one.bytes.size() > bytes_max) return false;
            object.insert(object.end(), one.bytes.begin(), one.bytes.end());
            return true;
        case verb::truncate: object.resize(one.offset); return true;
        case verb::punch:
            for (auto i = one.offset; i < one.offset + one.length && i < object.size(); ++i) object[i] = std::byte{0};
            return true;
    }
    return false;
}

template <class Store>
result<> change_store(const change& one, Store& store, object_id id) {
    switch (one.what) {
        case verb::write: return store.write(id, one.offset, one.bytes);
        case verb::append: {
            BOOST_OUTCOME_TRY(store.append(id, one.bytes));
            return success();
        }
        case verb::truncate: return store.truncate(id, one.offset);
        case verb::punch: return store.punch(id, one.offset, one.length);
    }
    return success();
}

/// The log outside of the volume: what write() has taken outlives a kill.
class said {
  public:
    explicit said(const std::string& path)
        : file_{::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600)} {
        if (file_ < 0) fail("the log cannot be written");
    }
    void say(char what, std::size_t thread, std::uint64_t number) const {
        char       line[64];
        const auto bytes =
            std::snprintf(line, sizeof line, "%c %zu %llu\n", what, thread, static_cast<unsigned long long>(number));
        if (::write(file_, line, static_cast<std::size_t>(bytes)) != bytes) fail("the log cannot be written");
    }

  private:
    int file_;
};

struct thread_history {
    std::uint64_t begun = 0, acknowledged = 0;
};

std::array<thread_history, writers> read_log(const std::string& path, std::uint64_t& moved) {
    std::array<thread_history, writers> all{};
    std::FILE* const                    file = std::fopen(path.c_str(), "r");
    if (file == nullptr) return all;  // killed before the first word
    char               what   = 0;
    std::size_t        thread = 0;
    unsigned long long number = 0;
    while (std::fscanf(file, " %c %zu %llu", &what, &thread, &number) == 3) {
        if (what == 'm') moved = number;
        if (thread >= writers) continue;
        if (what == 'b') all[thread].begun = number;
        if (what == 'a') all[thread].acknowledged = number;
    }
    std::fclose(file);
    return all;
}

/// The state after the last check: sizes and bytes of all objects.
std::array<contents, writers> load_state(const std::string& path) {
    std::array<contents, writers> all;
    std::FILE* const              file = std::fopen(path.c_str(), "rb");
    if (file == nullptr) fail("there is no state of before");
    for (auto& one : all) {
        for (auto& object : one) {
            std::uint64_t size = 0;
            if (std::fread(&size, sizeof size, 1, file) != 1 || size > bytes_max) fail("the state of before is broken");
            object.resize(size);
            if (std::fread(object.data(), 1, size, file) != size) fail("the state of before is broken");
        }
    }
    std::fclose(file);
    return all;
}

void keep_state(const std::string& path, const std::array<contents, writers>& all) {
    std::FILE* const file = std::fopen(path.c_str(), "wb");
    if (file == nullptr) fail("the state cannot be written");
    for (const auto& one : all) {
        for (const auto& object : one) {
            const std::uint64_t size = object.size();
            if (std::fwrite(&size, sizeof size, 1, file) != 1 || std::fwrite(object.data(), 1, size, file) != size)
                fail("the state cannot be written");
        }
    }
    if (std::fclose(file) != 0) fail("the state cannot be written");
}

template <class Device>
struct on : blueprint {
    using device    = Device;
    using journal   = ring_journal;
    using threading = multi_threaded;
    using defrag    = best_gain;
};

template <class Device>
class life {
    using store_type = store<on<Device>>;

  public:
    life(std::string volume, std::string log) : volume_{std::move(volume)}, log_{std::move(log)} {}

    void make() {
        auto           device = must(Device::open(volume_.c_str(), options(true)), "opening the device");
        format_options chosen{.label = "killed", .overwrite = true};
        for (std::size_t i = 0; i < chosen.volume.size(); ++i) chosen.volume[i] = static_cast<std::byte>(i + 1);
        must(store_type::format(device, chosen), "format");
        auto opened = must(store_type::open(std::move(device), store_options()), "open");
        for (std::size_t i = 0; i < writers * objects_each; ++i) static_cast<void>(must(opened.create(), "create"));
        must(opened.close(), "close");
        keep_state(log_ + ".state", {});
    }

    void work(std::uint64_t seed) {
        const said log{log_};
        const auto before = load_state(log_ + ".state");
        auto       opened = open();
        log.say('o', writers, 0);
        const auto         ids = objects(opened);
        maintenance_thread moving{opened,
                                  maintenance_options{.budget = {.blocks_max = 64}, .idle_interval = milliseconds(1)}};
        must(moving.start(), "the maintenance");
        std::vector<std::thread> running;
        for (std::size_t thread = 0; thread < writers; ++thread) {
            running.emplace_back([&, thread] {
                change_source changes{seed, thread};
                contents      mine = before[thread];
                for (std::uint64_t number = 1; number <= changes_in_life; ++number) {
                    const auto one = changes.next();
                    log.say('b', thread, number);
                    if (change_contents(one, mine))
                        must(change_store(one, opened, ids[thread * objects_each + one.object]), "a change");
                    if (!one.sync) continue;
                    must(opened.sync(), "sync");
                    log.say('a', thread, number);
                    if (thread == 0) log.say('m', writers, opened.metrics().blocks_moved);
                }
            });
        }
        for (auto& one : running) one.join();
        fail("nobody killed it");
    }

    void check(std::uint64_t seed) {
        std::uint64_t moved   = 0;
        const auto    history = read_log(log_, moved);
        auto          states  = load_state(log_ + ".state");
        auto          opened  = open();
        const auto    ids     = objects(opened);
        std::uint64_t lost = 0, acknowledged = 0;
        for (std::size_t thread = 0; thread < writers; ++thread) {
            contents found;
            for (std::size_t i = 0; i < objects_each; ++i) found[i] = content(opened, ids[thread * objects_each + i]);
            change_source changes{seed, thread};
            auto&         state   = states[thread];
            bool          matches = history[thread].acknowledged == 0 && state == found;
            std::uint64_t number  = 0;
            while (!matches && number < history[thread].begun) {
                static_cast<void>(change_contents(changes.next(), state));
                matches = ++number >= history[thread].acknowledged && state == found;
            }
            if (!matches) {
                fail("what thread " + std::to_string(thread) + " finds is no state between its change " +
                     std::to_string(history[thread].acknowledged) + ", which was acknowledged, and " +
                     std::to_string(history[thread].begun) + ", which was begun");
            }
            lost += history[thread].begun - number;
            acknowledged += history[thread].acknowledged;
        }
        const auto report = must(opened.verify([](const verify_finding& one) noexcept {
            std::printf("%s at block %llu\n", name_of(one.problem), static_cast<unsigned long long>(one.block.value));
        }),
                                 "verify");
        if (report.findings != 0) fail("verify finds something");
        keep_state(log_ + ".state", states);
        std::printf("acknowledged %llu moved %llu lost %llu clean %d\n", static_cast<unsigned long long>(acknowledged),
                    static_cast<unsigned long long>(moved), static_cast<unsigned long long>(lost),
                    opened.recovered().was_clean ? 1 : 0);
        must(opened.close(), "close");
    }

  private:
    static file_device_options options(bool create) {
        return {.block_bytes = 4096, .create = create, .bytes = create ? volume_bytes : 0, .lock_wait_ms = 20'000};
    }
    static typename store_type::options store_options() {
        typename store_type::options chosen;
        chosen.defrag.threshold_permille = 0;
        chosen.defrag.cycle_interval     = {};
        chosen.defrag.priority           = defrag_intensity::unpaced;
        return chosen;
    }
    store_type open() {
        auto device = must(Device::open(volume_.c_str(), options(false)), "opening the device");
        if constexpr (requires { device.uses_io_uring(); }) {
            if (!device.uses_io_uring()) {
                std::printf("no io_uring\n");
                std::exit(3);
            }
        }
        return must(store_type::open(std::move(device), store_options()), "open");
    }
    static std::vector<object_id> objects(store_type& opened) {
        std::vector<object_id> all;
        for (const auto id : opened.objects()) {
            if (id != opened.root()) all.push_back(id);
        }
        if (all.size() != writers * objects_each) fail("objects are missing");
        return all;
    }
    static std::vector<std::byte> content(store_type& opened, object_id id) {
        std::vector<std::byte> bytes(must(opened.size(id), "size"));
        if (must(opened.read(id, 0, bytes), "read") != bytes.size()) fail("a read is short");
        return bytes;
    }

    std::string volume_, log_;
};

template <class Device>
int run(const std::string& what, int argc, char** argv) {
    life<Device>        one{argv[3], argv[4]};
    const std::uint64_t seed = argc > 5 ? std::strtoull(argv[5], nullptr, 10) : 0;
    if (what == "make") return one.make(), 0;
    if (what == "work") return one.work(seed), 0;
    if (what == "check") return one.check(seed), 0;
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 5) {
        std::fprintf(stderr, "usage: %s file|native make|work|check VOLUME LOG [SEED]\n", argv[0]);
        return 2;
    }
    const std::string device = argv[1], what = argv[2];
    return device == "native" ? run<native_device>(what, argc, argv) : run<file_device>(what, argc, argv);
}
