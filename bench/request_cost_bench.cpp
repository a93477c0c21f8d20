/// G8: what the engine itself costs a request that is read through a channel with 32 in flight.
///
/// Random 4 KiB blocks of a 64 MiB object are read on a device whose queue does nothing, without checksums: what is
/// left is the channel, the lookup and the queue's two list operations. A second line reads and proves on memory, and
/// takes away what the same copies and hashes cost alone.

#include "measure.hpp"
#include "report.hpp"

#include <ashlar/ashlar.hpp>
#include <ashlar/channel.hpp>
#include <ashlar/checksum/no_checksum.hpp>

namespace {

using namespace ashlar;

constexpr block_size    size{4096};
constexpr std::size_t   depth         = 32;
constexpr std::uint64_t object_blocks = 16384;

/// Memory for blocking calls, which metadata uses; its queue hands transfers back without touching a byte.
class hollow_device {
  public:
    class queue {
      public:
        explicit queue(std::size_t most) noexcept : depth_{most} {}

        [[nodiscard]] std::size_t depth() const noexcept { return depth_; }
        [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_; }

        void submit(transfer& one) noexcept {
            one.next = first_;
            first_   = &one;
            ++in_flight_;
        }
        [[nodiscard]] result<std::size_t> complete(std::span<transfer*> finished, std::size_t) noexcept {
            std::size_t count = 0;
            for (; count < finished.size() && first_ != nullptr; ++count) {
                finished[count] = first_;
                first_          = first_->next;
            }
            in_flight_ -= count;
            return count;
        }

      private:
        transfer*   first_ = nullptr;
        std::size_t depth_;
        std::size_t in_flight_ = 0;
    };

    explicit hollow_device(memory_device memory) noexcept : memory_{std::move(memory)} {}

    [[nodiscard]] device_geometry geometry() const noexcept { return memory_.geometry(); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept { return memory_.read(e, in); }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept { return memory_.write(e, out); }
    [[nodiscard]] result<> sync() noexcept { return success(); }
    [[nodiscard]] result<> trim(extent e) noexcept { return memory_.trim(e); }
    [[nodiscard]] result<queue> open_queue(queue_options options) noexcept { return queue{options.depth}; }

  private:
    memory_device memory_;
};
static_assert(QueuedDevice<hollow_device>);

struct hollow_parts : blueprint {
    using device    = hollow_device;
    using journal   = ring_journal;
    using threading = single_threaded;
    using checksum  = no_checksum;
};
struct memory_parts : blueprint {
    using device    = memory_device;
    using journal   = ring_journal;
    using threading = single_threaded;
};

template <class Parts>
result<store<Parts>> filled(typename Parts::device device) {
    BOOST_OUTCOME_TRY(store<Parts>::format(device, {.volume = volume_id{std::byte{8}}}));
    BOOST_OUTCOME_TRY(auto made, store<Parts>::open(std::move(device)));
    const std::vector<std::byte> bytes(std::size_t{1} << 20U, std::byte{0x5A});
    for (std::uint64_t at = 0; at < object_blocks * size.bytes; at += bytes.size()) {
        BOOST_OUTCOME_TRY(made.append(made.root(), bytes));
    }
    BOOST_OUTCOME_TRY(made.checkpoint());
    return made;
}

/// CPU nanoseconds of a request, one value a pass.
template <class Parts>
result<std::vector<double>> passes_of(store<Parts>& made, int passes) {
    BOOST_OUTCOME_TRY(auto memory, aligned_buffer::allocate(depth * size.bytes));
    std::vector<request> slots(depth);  // outlive the channel, which waits for them
    BOOST_OUTCOME_TRY(auto reads, channel<Parts>::open(made, {.depth = depth, .one_thread = true}));
    bench::random_numbers random{8};
    const auto            submit = [&](request& one) {
        one.offset = random.below(object_blocks) * size.bytes;
        reads.submit(one);
    };
    for (std::size_t i = 0; i < depth; ++i) {
        slots[i].object = made.root();
        slots[i].memory = memory.bytes().subspan(i * size.bytes, size.bytes);
        submit(slots[i]);
    }
    std::vector<double> answer;
    request*            finished[depth];
    for (int pass = 0; pass < passes; ++pass) {
        std::uint64_t done  = 0;
        const double  begun = bench::thread_seconds();
        while (done < 4 * object_blocks) {
            BOOST_OUTCOME_TRY(const auto count, reads.complete(finished, 1));
            for (std::size_t i = 0; i < count; ++i) {
                if (finished[i]->failure.code != errc::none) return finished[i]->failure;
                submit(*finished[i]);
            }
            done += count;
        }
        answer.push_back((bench::thread_seconds() - begun) / static_cast<double>(done) * 1e9);
    }
    return answer;
}

/// CPU nanoseconds of copying and hashing one random block of the image.
double copy_and_hash(std::span<const std::byte> image) {
    const std::uint64_t    blocks = object_blocks;
    const auto             first  = image.size() / size.bytes - blocks;
    bench::random_numbers  random{9};
    std::vector<std::byte> buffer(size.bytes);
    std::uint64_t          sum   = 0;
    const double           begun = bench::thread_seconds();
    for (std::uint64_t i = 0; i < 4 * blocks; ++i) {
        const auto block = image.subspan((first + random.below(blocks)) * size.bytes, size.bytes);
        std::memcpy(buffer.data(), block.data(), size.bytes);
        sum ^= xxh3_64(buffer);
    }
    bench::keep(sum);
    return (bench::thread_seconds() - begun) / static_cast<double>(4 * blocks) * 1e9;
}

result<> run(const bench::settings& chosen) {
    const int passes = chosen.quick ? 5 : 31;
    {
        BOOST_OUTCOME_TRY(auto memory, memory_device::create(size, block_count{32768}));
        BOOST_OUTCOME_TRY(auto made, filled<hollow_parts>(hollow_device{std::move(memory)}));
        BOOST_OUTCOME_TRY(const auto cost, passes_of(made, passes));
        bench::report({.id        = "G8",
                       .measure   = "CPU of the engine for a request, 32 in flight, without checksums",
                       .ours      = bench::median(cost),
                       .unit      = "ns",
                       .direction = bench::better::lower,
                       .floor     = 150,
                       .goal      = 100});
    }
    BOOST_OUTCOME_TRY(auto memory, memory_device::create(size, block_count{32768}));
    BOOST_OUTCOME_TRY(auto made, filled<memory_parts>(std::move(memory)));
    std::vector<double> ours, peer;
    for (int pass = 0; pass < passes; ++pass) {
        BOOST_OUTCOME_TRY(const auto cost, passes_of(made, 1));
        ours.push_back(cost.front());
        peer.push_back(copy_and_hash(made.device().bytes()));
    }
    bench::report({.id        = "G8",
                   .measure   = "CPU of a verified read in memory, 32 in flight",
                   .ours      = bench::median(ours),
                   .peer      = bench::median(peer),
                   .peer_name = "memcpy + XXH3",
                   .unit      = "ns",
                   .direction = bench::better::lower});
    return success();
}

}  // namespace

int main(int count, char** words) {
    const auto done = run(bench::settings_of(count, words));
    if (!done) std::fprintf(stderr, "request_cost_bench: %s\n", message(done.error().code));
    return done ? 0 : 1;
}
