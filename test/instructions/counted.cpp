/// What run.py counts the instructions of: `counted OPERATION` does one operation many times inside of `measured`, and
/// says how often. The device is memory and the checksum of data is a sum of two words, so that what is counted is the
/// engine and neither memcpy nor a hash, which would hide it.

#include <ashlar/ashlar.hpp>
#include <ashlar/defrag_policy/best_gain.hpp>

#include <cstdio>
#include <string_view>

namespace {

using namespace ashlar;

/// Enough to prove that checksums are kept and compared.
struct two_words {
    static constexpr std::uint32_t     format_id = 0xC0DE;
    static constexpr bool              enabled   = true;
    [[nodiscard]] static std::uint64_t of(std::span<const std::byte> bytes) noexcept {
        return load_little<std::uint64_t>(bytes.data()) + load_little<std::uint64_t>(bytes.data() + bytes.size() - 8);
    }
};

struct parts : blueprint {
    using device    = memory_device;
    using journal   = ring_journal;
    using threading = single_threaded;
    using checksum  = two_words;
    using defrag    = best_gain;
};
using counted_store = store<parts>;

constexpr block_size    size{4096};
constexpr std::uint64_t object_blocks = 1024;
constexpr std::uint64_t repeats       = 512;

/// The name that callgrind looks for. The barrier keeps the call from becoming a jump.
template <class Operation>
[[gnu::noinline]] result<> measured(Operation&& operation) noexcept {
    auto done = operation();
    asm volatile("" : : : "memory");
    return done;
}

/// The same places in every run: xorshift64.
std::uint64_t next_place(std::uint64_t& state) noexcept {
    state ^= state << 13U;
    state ^= state >> 7U;
    state ^= state << 17U;
    return state & (object_blocks - 1);
}

result<counted_store> fresh() {
    BOOST_OUTCOME_TRY(auto device, memory_device::create(size, block_count{24'000}));
    BOOST_OUTCOME_TRY(
        counted_store::format(device, {.volume = volume_id{std::byte{1}}, .journal_blocks = block_count{1024}}));
    counted_store::options chosen;
    chosen.defrag.threshold_permille = 0;
    chosen.defrag.cycle_blocks_max   = {0};
    chosen.defrag.cycle_interval     = {};
    chosen.defrag.priority           = defrag_intensity::unpaced;
    return counted_store::open(std::move(device), chosen);
}

std::byte block[4096];

result<> fill(counted_store& made) {
    for (std::uint64_t i = 0; i < object_blocks; ++i) { BOOST_OUTCOME_TRY(made.append(made.root(), block)); }
    return made.checkpoint();
}

/// Overwrites at random, so that the extent map is a tree; a sync after every sixteenth.
template <class Each>
result<> overwrite(counted_store& made, Each&& each) {
    std::uint64_t state = 88172645463325252ULL;
    for (std::uint64_t i = 0; i < repeats; ++i) {
        const auto at = next_place(state);
        BOOST_OUTCOME_TRY(each([&]() noexcept { return made.write(made.root(), at * size.bytes, block); }));
        if (i % 16 == 15) { BOOST_OUTCOME_TRY(made.sync()); }
    }
    return success();
}

constexpr auto plainly = [](auto&& operation) { return operation(); };

result<std::uint64_t> count_reads(counted_store& made) {
    BOOST_OUTCOME_TRY(fill(made));
    BOOST_OUTCOME_TRY(overwrite(made, plainly));
    std::uint64_t state = 1;
    for (std::uint64_t i = 0; i < repeats; ++i) {
        const auto at = next_place(state);
        BOOST_OUTCOME_TRY(measured([&]() noexcept -> result<> {
            BOOST_OUTCOME_TRY(made.read(made.root(), at * size.bytes, block));
            return success();
        }));
    }
    return repeats;
}

result<std::uint64_t> count_writes(counted_store& made) {
    BOOST_OUTCOME_TRY(fill(made));
    BOOST_OUTCOME_TRY(overwrite(made, plainly));
    BOOST_OUTCOME_TRY(overwrite(made, [](auto&& operation) { return measured(operation); }));
    return repeats;
}

/// The sync of one overwrite: the journal batch of a commit, and now and then a checkpoint.
result<std::uint64_t> count_commits(counted_store& made) {
    BOOST_OUTCOME_TRY(fill(made));
    std::uint64_t state = 1;
    for (std::uint64_t i = 0; i < repeats; ++i) {
        BOOST_OUTCOME_TRY(made.write(made.root(), next_place(state) * size.bytes, block));
        BOOST_OUTCOME_TRY(measured([&]() noexcept { return made.sync(); }));
    }
    return repeats;
}

/// Blocks reserved without data in a volume whose free space is in pieces.
result<std::uint64_t> count_allocations(counted_store& made) {
    BOOST_OUTCOME_TRY(fill(made));
    BOOST_OUTCOME_TRY(overwrite(made, plainly));
    for (std::uint64_t i = 0; i < object_blocks; i += 8) {
        BOOST_OUTCOME_TRY(made.punch(made.root(), i * size.bytes, 3 * size.bytes));
    }
    BOOST_OUTCOME_TRY(made.checkpoint());
    BOOST_OUTCOME_TRY(const auto second, made.create());
    for (std::uint64_t i = 0; i < repeats; ++i) {
        BOOST_OUTCOME_TRY(measured([&]() noexcept { return made.reserve(second, 2 * i * size.bytes, size.bytes); }));
        if (i % 16 == 15) { BOOST_OUTCOME_TRY(made.sync()); }
    }
    return repeats;
}

/// Objects whose blocks take turns are each put together; counted for a block moved, the search included.
result<std::uint64_t> count_moves(counted_store& made) {
    object_id ids[8];
    for (auto& id : ids) { BOOST_OUTCOME_TRY(id, made.create()); }
    for (std::uint64_t i = 0; i < repeats; ++i) {
        BOOST_OUTCOME_TRY(made.append(ids[i % std::size(ids)], block));
        if (i % 8 == 7) { BOOST_OUTCOME_TRY(made.sync()); }
    }
    made.defragmenter().start_pass();
    for (bool ended = false; !ended;) {
        BOOST_OUTCOME_TRY(measured([&]() noexcept -> result<> {
            const auto why = made.defragment({.blocks_max = 64, .candidates_max = 256}).reasons;
            ended          = why.has(stop_reason::finished) || why.has(stop_reason::nothing_to_gain) ||
                    why.has(stop_reason::device_error);
            return success();
        }));
    }
    return made.defragmenter().lifetime().blocks_moved.value;
}

result<std::uint64_t> count(std::string_view operation) {
    BOOST_OUTCOME_TRY(auto made, fresh());
    if (operation == "read") return count_reads(made);
    if (operation == "write") return count_writes(made);
    if (operation == "commit") return count_commits(made);
    if (operation == "allocate") return count_allocations(made);
    if (operation == "move") return count_moves(made);
    return errc::invalid_argument;
}

}  // namespace

int main(int words, char** word) {
    const auto done = count(words == 2 ? word[1] : "");
    if (!done) {
        std::fprintf(stderr, "counted: %s\n", message(done.error().code));
        return 1;
    }
    std::printf("%llu\n", static_cast<unsigned long long>(done.value()));
    return done.value() == 0 ? 1 : 0;
}
