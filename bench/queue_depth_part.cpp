/// Our half of G8: 4 KiB reads with 32 in flight. queue_depth_bench.py runs it in turns with fio.
///
/// usage: queue_depth_part prepare FILE            makes a volume of 1 GiB with an object, says where the object lies
///        queue_depth_part queue FILE FIRST BYTES SECONDS   reads blocks of that range through a queue of the device
///        queue_depth_part channel FILE FIRST BYTES SECONDS   reads blocks of the object through a channel of the store

#include "measure.hpp"
#include "raw_sync.hpp"

#include <ashlar/ashlar.hpp>
#include <ashlar/channel.hpp>
#include <ashlar/device/io_uring_device.hpp>

namespace {

using namespace ashlar;

constexpr block_size    size{4096};
constexpr std::size_t   depth        = 32;
constexpr std::uint64_t volume_bytes = std::uint64_t{1} << 30U;
constexpr std::uint64_t object_bytes = std::uint64_t{640} << 20U;

struct parts : blueprint {
    using device    = io_uring_device;
    using journal   = ring_journal;
    using threading = single_threaded;
};

result<> prepare(const std::string& path) {
    if (!bench::preallocate(path, volume_bytes)) return errc::device_failed;
    BOOST_OUTCOME_TRY(auto device, io_uring_device::open(path.c_str()));
    BOOST_OUTCOME_TRY(store<parts>::format(device, {.volume = volume_id{std::byte{8}}, .overwrite = true}));
    BOOST_OUTCOME_TRY(auto made, store<parts>::open(std::move(device)));
    std::vector<std::byte> bytes(std::size_t{1} << 20U);
    bench::random_numbers  random{8};
    for (std::uint64_t at = 0; at < object_bytes; at += bytes.size()) {
        for (auto& byte : bytes) byte = static_cast<std::byte>(random.next() >> 56U);
        BOOST_OUTCOME_TRY(made.append(made.root(), bytes));
    }
    block_index first{volume_bytes}, last{};
    for (auto at = logical_block{0}; at.value < object_bytes / size.bytes;) {
        BOOST_OUTCOME_TRY(const auto piece, made.next_extent(made.root(), at));
        first = std::min(first, piece->physical.first);
        last  = std::max(last, piece->physical.end());
        at    = piece->logical + piece->physical.count;
    }
    BOOST_OUTCOME_TRY(made.close());
    std::printf("first %llu bytes %llu\n", static_cast<unsigned long long>(byte_offset(first, size)),
                static_cast<unsigned long long>(bytes_of(last - first, size)));
    return success();
}

/// What a run did, in the form that the script reads.
void tell(std::uint64_t done, double seconds, double cpu) {
    std::printf("iops %.1f cpu_ns %.1f\n", static_cast<double>(done) / seconds, cpu / static_cast<double>(done) * 1e9);
}

result<> read_through_queue(const std::string& path, std::uint64_t from, std::uint64_t bytes, double seconds) {
    BOOST_OUTCOME_TRY(auto device, io_uring_device::open(path.c_str()));
    if (device.direct() != direct_state::in_use) return error{errc::unsupported};
    BOOST_OUTCOME_TRY(auto memory, aligned_buffer::allocate(depth * size.bytes));
    std::vector<transfer> slots(depth);  // outlive the queue, which waits for them
    BOOST_OUTCOME_TRY(auto queue, device.open_queue({.depth = depth, .one_thread = true}));

    const std::uint64_t   blocks = bytes >> size.shift();
    const block_index     first{from >> size.shift()};
    bench::random_numbers random{static_cast<std::uint64_t>(seconds * 1e6) ^ blocks};
    const auto            submit = [&](transfer& one) {
        one.blocks = {first + block_count{random.below(blocks)}, block_count{1}};
        queue.submit(one);
    };

    for (std::size_t i = 0; i < depth; ++i) {
        slots[i].memory = memory.bytes().data() + i * size.bytes;
        submit(slots[i]);
    }
    transfer*              finished[depth];
    std::uint64_t          done  = 0;
    const double           begun = bench::thread_seconds();
    const bench::stopwatch clock;
    double                 took = 0;
    for (; took < seconds; took = clock.seconds()) {
        BOOST_OUTCOME_TRY(const auto count, queue.complete(finished, 1));
        for (std::size_t i = 0; i < count; ++i) {
            if (finished[i]->failure.code != errc::none) return finished[i]->failure;
            submit(*finished[i]);
        }
        done += count;
    }
    tell(done, took, bench::thread_seconds() - begun);
    return success();
}

/// The same through the store: the blocks are found, read and proved.
result<> read_through_channel(const std::string& path, double seconds) {
    BOOST_OUTCOME_TRY(auto device, io_uring_device::open(path.c_str()));
    if (device.direct() != direct_state::in_use) return error{errc::unsupported};
    BOOST_OUTCOME_TRY(auto made, store<parts>::open(std::move(device)));
    BOOST_OUTCOME_TRY(auto memory, aligned_buffer::allocate(depth * size.bytes));
    std::vector<request> slots(depth);  // outlive the channel, which waits for them
    BOOST_OUTCOME_TRY(auto reads, channel<parts>::open(made, {.depth = depth, .one_thread = true}));

    constexpr std::uint64_t blocks = object_bytes / size.bytes;
    bench::random_numbers   random{static_cast<std::uint64_t>(seconds * 1e6)};
    const auto              submit = [&](request& one) {
        one.offset = random.below(blocks) * size.bytes;
        reads.submit(one);
    };
    for (std::uint64_t i = 0; i < blocks; i += 256) {  // brings the checksums into the cache, as hours of use would
        BOOST_OUTCOME_TRY(made.read(made.root(), i * size.bytes, memory.bytes().first(size.bytes)));
    }
    for (std::size_t i = 0; i < depth; ++i) {
        slots[i].object = made.root();
        slots[i].memory = memory.bytes().subspan(i * size.bytes, size.bytes);
        submit(slots[i]);
    }
    request*               finished[depth];
    std::uint64_t          done  = 0;
    const double           begun = bench::thread_seconds();
    const bench::stopwatch clock;
    double                 took = 0;
    for (; took < seconds; took = clock.seconds()) {
        BOOST_OUTCOME_TRY(const auto count, reads.complete(finished, 1));
        for (std::size_t i = 0; i < count; ++i) {
            if (finished[i]->failure.code != errc::none) return finished[i]->failure;
            submit(*finished[i]);
        }
        done += count;
    }
    tell(done, took, bench::thread_seconds() - begun);
    return success();
}

}  // namespace

int main(int count, char** words) {
    const std::string verb = count > 1 ? words[1] : "";
    result<>          done = errc::invalid_argument;
    if (verb == "prepare" && count == 3) done = prepare(words[2]);
    if (verb == "queue" && count == 6)
        done = read_through_queue(words[2], std::strtoull(words[3], nullptr, 10), std::strtoull(words[4], nullptr, 10),
                                  std::strtod(words[5], nullptr));
    if (verb == "channel" && count == 6) done = read_through_channel(words[2], std::strtod(words[5], nullptr));
    if (!done) std::fprintf(stderr, "queue_depth_part: %s\n", message(done.error().code));
    return done ? 0 : 1;
}
