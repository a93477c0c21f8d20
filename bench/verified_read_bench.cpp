/// G7: what a verified read costs beside the copy and the hash that it cannot do without.
///
/// An object of 64 MiB lies on a memory_device with its metadata cached; 4 KiB are read at a time, in order and in a
/// random order. The peer copies the same blocks from where they lie in the image, in the same order, and hashes the
/// copies. The two take turns, pass by pass; the figure is the median of the passes' ratios.

#include "measure.hpp"
#include "report.hpp"

#include <ashlar/ashlar.hpp>

namespace {

using namespace ashlar;

struct memory_parts : blueprint {
    using device    = memory_device;
    using journal   = ring_journal;
    using threading = single_threaded;
};
using memory_store = store<memory_parts>;

constexpr block_size    size{4096};
constexpr std::uint64_t object_blocks = 16384;

struct subject {
    memory_store             store;
    std::vector<block_index> places;  // Where each block of the object lies.
    alignas(64) std::byte buffer[4096];
};

result<> fill(subject& made) {
    std::vector<std::byte> bytes(1 << 20);
    bench::random_numbers  random{1};
    for (std::uint64_t at = 0; at < object_blocks * size.bytes; at += bytes.size()) {
        for (auto& byte : bytes) byte = static_cast<std::byte>(random.next() >> 56U);
        BOOST_OUTCOME_TRY(made.store.append(made.store.root(), bytes));
    }
    BOOST_OUTCOME_TRY(made.store.checkpoint());
    for (auto at = logical_block{0}; at.value < object_blocks;) {
        BOOST_OUTCOME_TRY(const auto piece, made.store.next_extent(made.store.root(), at));
        for (std::uint64_t i = 0; i < piece->physical.count.value; ++i)
            made.places.push_back(piece->physical.first + block_count{i});
        at = piece->logical + piece->physical.count;
    }
    return success();
}

result<double> read_pass(subject& made, const std::vector<std::uint32_t>& order) {
    const auto             root = made.store.root();
    const bench::stopwatch clock;
    for (const auto block : order) {
        BOOST_OUTCOME_TRY(made.store.read(root, std::uint64_t{block} * size.bytes, made.buffer));
    }
    return clock.seconds();
}

double copy_pass(subject& made, const std::vector<std::uint32_t>& order) {
    const std::byte*       image = made.store.device().bytes().data();
    std::uint64_t          sum   = 0;
    const bench::stopwatch clock;
    for (const auto block : order) {
        std::memcpy(made.buffer, image + byte_offset(made.places[block], size), size.bytes);
        sum ^= xxh3_64(made.buffer);
    }
    bench::keep(sum);
    return clock.seconds();
}

result<> compare(subject& made, const char* name, const std::vector<std::uint32_t>& order, double floor, double goal,
                 int passes) {
    std::vector<double> ours, peer, ratios;
    BOOST_OUTCOME_TRY(read_pass(made, order));  // loads what metadata is not cached yet
    for (int pass = 0; pass < passes; ++pass) {
        BOOST_OUTCOME_TRY(const double read, read_pass(made, order));
        const double copied = copy_pass(made, order);
        const auto   count  = static_cast<double>(order.size());
        ours.push_back(read / count * 1e9);
        peer.push_back(copied / count * 1e9);
        ratios.push_back(read / copied);
    }
    bench::report({.id        = "G7",
                   .measure   = std::string{"verified 4 KiB read in memory, "} + name,
                   .ours      = bench::median(ours),
                   .peer      = bench::median(peer),
                   .peer_name = "memcpy + XXH3",
                   .unit      = "ns",
                   .direction = bench::better::lower,
                   .floor     = floor,
                   .goal      = goal,
                   .ratio     = bench::median(ratios)});
    return success();
}

result<> run(const bench::settings& chosen) {
    BOOST_OUTCOME_TRY(auto device, memory_device::create(size, block_count{32768}));
    BOOST_OUTCOME_TRY(memory_store::format(device, {.volume = volume_id{std::byte{7}}}));
    BOOST_OUTCOME_TRY(auto opened, memory_store::open(std::move(device)));
    subject made{std::move(opened), {}, {}};
    BOOST_OUTCOME_TRY(fill(made));

    std::vector<std::uint32_t> order(object_blocks);
    for (std::uint32_t i = 0; i < object_blocks; ++i) order[i] = i;
    const int passes = chosen.quick ? 9 : 101;
    BOOST_OUTCOME_TRY(compare(made, "sequential", order, 1.2, 1.1, passes));
    bench::random_numbers random{2};
    for (std::size_t i = object_blocks - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
    return compare(made, "random", order, 1.3, 1.2, passes);
}

}  // namespace

int main(int count, char** words) {
    const auto done = run(bench::settings_of(count, words));
    if (!done) std::fprintf(stderr, "verified_read_bench: %s\n", message(done.error().code));
    return done ? 0 : 1;
}
