/// An engine that is not ashlar's gets ashlar's defragmenter.
///
/// usage: own_engine PATH             fills a new file, scatters it, defragments it while it is used, proves it
///        own_engine PATH work SEED   changes and moves values until it is killed
///        own_engine PATH check       says what is there
///        own_engine PATH tidy        defragments until nothing is to be gained

#include "ordeal.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>

namespace {

using namespace own_engine;

constexpr std::uint64_t demonstration_blocks = 16384;  // 64 MiB
constexpr std::uint64_t growing_keys         = 16;

/// What was written, so that what is read can be proved: key, version and size say every byte.
class witness {
  public:
    explicit witness(value_log<block_file>& log) noexcept : log_{&log} {}
    void turn_to(value_log<block_file>& log) noexcept { log_ = &log; }

    [[nodiscard]] bool put(std::uint64_t key, std::uint64_t size) {
        known_[key] = {++versions_, size};
        return log_->put(name_of(key), content(key, versions_, 0, size)) == status::ok;
    }
    [[nodiscard]] bool append(std::uint64_t key, std::uint64_t more) {
        if (!known_.contains(key)) return put(key, more);
        auto& [version, size] = known_[key];
        size += more;
        return log_->append(name_of(key), content(key, version, size - more, more)) == status::ok;
    }
    [[nodiscard]] bool erase(std::uint64_t key) {
        known_.erase(key);
        return log_->erase(name_of(key)) == status::ok;
    }
    [[nodiscard]] bool right(std::uint64_t key) {
        bytes seen;
        return log_->get(name_of(key), seen) == status::ok && seen.size() == known_[key].size &&
               version_of(key, seen) == known_[key].version;
    }
    [[nodiscard]] bool all_right() {
        const auto listed = log_->list().size();
        return listed == known_.size() &&
               std::all_of(known_.begin(), known_.end(), [this](const auto& entry) { return right(entry.first); });
    }

  private:
    struct what {
        std::uint64_t version = 0, size = 0;
    };
    value_log<block_file>*        log_;
    std::map<std::uint64_t, what> known_;
    std::uint64_t                 versions_ = 0;
};

/// Values that grow in turns lie in each other's way; erased ones leave holes, and later ones fall into the holes.
bool fill(value_log<block_file>& log, witness& known, dice& rolls) {
    for (std::uint64_t round = 0; round < 160; ++round) {
        for (std::uint64_t key = 0; key < growing_keys; ++key) {
            if (!known.append(key, 2000 + rolls.roll(12'000))) return false;
        }
        if (round % 16 == 15 && log.sync() != status::ok) return false;
    }
    for (std::uint64_t key = 0; key < growing_keys; key += 3) {
        if (!known.erase(key)) return false;
    }
    if (log.sync() != status::ok) return false;
    for (std::uint64_t key = growing_keys; key < growing_keys + 3; ++key) {
        if (!known.put(key, 8'000'000)) return false;
    }
    return log.sync() == status::ok;
}

struct sight {
    std::size_t   pieces       = 0;
    std::uint64_t reads        = 0;
    double        milliseconds = 0;
};

/// Reads every value once, from the disk where the system can be asked for it, and prints how it lies.
sight look(value_log<block_file>& log, block_file& file, bool print) {
    using namespace std::chrono;
    sight seen;
    bytes value;
    file.forget_cached();
    for (const auto& one : log.list()) {
        const auto reads = file.reads.load();
        const auto begin = steady_clock::now();
        if (log.get(one.key, value) != status::ok) std::printf("  %s cannot be read\n", one.key.c_str());
        const auto took = duration<double, std::milli>(steady_clock::now() - begin).count();
        seen.pieces += one.pieces;
        seen.reads += file.reads - reads;
        seen.milliseconds += took;
        const auto megabytes = static_cast<double>(one.size) / 1e6;
        if (print)
            std::printf("  %-8s %6.2f MB %6zu pieces %8.0f MB/s\n", one.key.c_str(), megabytes, one.pieces,
                        megabytes / (took / 1e3));
    }
    std::printf("  all of them: %zu pieces, read with %llu transfers in %.0f ms; %llu blocks free\n", seen.pieces,
                static_cast<unsigned long long>(seen.reads), seen.milliseconds,
                static_cast<unsigned long long>(log.free_blocks()));
    return seen;
}

/// One thread moves values, this one goes on using them: reads and proves each, lets one grow, replaces small ones.
bool tidy_while_used(value_log<block_file>& log, witness& known, dice& rolls) {
    tidier<block_file> tidy{log};
    std::atomic<bool>  moving = true;
    std::thread        mover{[&] {
        while (tidy.done().passes < 6 && tidy.step(16) == tidiness::more_to_do)
            std::this_thread::sleep_for(std::chrono::milliseconds{1});  // the foreground's turn
        moving = false;
    }};
    std::uint64_t      gets = 0, puts = 0;
    bool               well = true;
    while (well && moving) {
        const auto grows = 1 + 3 * rolls.roll(2);
        for (std::uint64_t key = 0; well && key < growing_keys; ++key, ++gets) well = key % 3 == 0 || known.right(key);
        well = well && known.append(grows, 500 + rolls.roll(4000)) &&
               known.put(1000 + rolls.roll(8), 100 + rolls.roll(20'000)) && log.sync() == status::ok;
        puts += 2;
    }
    mover.join();
    std::printf(
        "moved %llu blocks in %llu moves, beside %llu gets and %llu durable puts; %llu copies raced with a put\n",
        static_cast<unsigned long long>(tidy.done().blocks_moved.value),
        static_cast<unsigned long long>(tidy.done().moves), static_cast<unsigned long long>(gets),
        static_cast<unsigned long long>(puts), static_cast<unsigned long long>(tidy.done().races));
    return well && tidy.failure() == ashlar::error{} && tidy.stop();
}

bool tidy_up(value_log<block_file>& log) {
    tidier<block_file> tidy{log};
    while (tidy.done().passes < 100) {
        const auto how = tidy.step(256);
        if (how != tidiness::more_to_do) return how == tidiness::tidy && tidy.stop();
    }
    return false;
}

int demonstrate(const char* path) {
    ::unlink(path);
    block_file            file{path, demonstration_blocks};
    value_log<block_file> log{file};
    witness               known{log};
    dice                  rolls{1};
    if (!file.is_open() || log.format() != status::ok || !fill(log, known, rolls)) return 1;
    std::printf("before\n");
    const auto before = look(log, file, true);
    if (!tidy_while_used(log, known, rolls)) return 2;
    if (!tidy_up(log)) return 2;
    std::printf("after\n");
    const auto after = look(log, file, true);
    if (!known.all_right() || log.sync() != status::ok) return 3;

    value_log<block_file> again{file};  // as another process would find it
    if (again.open() != status::ok) return 4;
    witness found{known};
    found.turn_to(again);
    if (!found.all_right()) return 4;
    std::printf("every byte is right, also after opening again\n");
    return after.pieces * 10 < before.pieces ? 0 : 5;
}

}  // namespace

int main(int count, char** words) {
    const std::string_view what = count > 2 ? words[2] : "";
    if (count < 2 || count > 4) return 64;
    if (count == 2) return demonstrate(words[1]);
    block_file            file{words[1], ordeal_blocks};
    value_log<block_file> log{file};
    if (!file.is_open()) return 1;
    auto opened = log.open();
    if (opened == status::not_found && what == "work") opened = log.format();
    if (opened != status::ok) return static_cast<int>(opened);
    if (what == "work" && count == 4) return work(log, std::strtoull(words[3], nullptr, 10));
    if (what == "check") return check(log);
    if (what != "tidy") return 64;
    return tidy_up(log) ? 0 : 1;
}
