/// A device of your own: whatever reads, writes, syncs and trims blocks carries a store. This one is a decorator that
/// counts what reaches the device below, so that the price of a commit can be seen.

#include <ashlar/ashlar.hpp>

#include <cstdio>

namespace {

template <ashlar::BlockDevice Inner>
class counting_device {
  public:
    struct counts {
        unsigned long long reads = 0, writes = 0, syncs = 0;
    };

    counting_device(Inner inner, counts& into) noexcept : inner_{std::move(inner)}, counts_{&into} {}

    [[nodiscard]] ashlar::device_geometry geometry() const noexcept { return inner_.geometry(); }

    ashlar::result<> read(ashlar::extent e, std::span<std::byte> in) noexcept {
        ++counts_->reads;
        return inner_.read(e, in);
    }
    ashlar::result<> write(ashlar::extent e, std::span<const std::byte> out) noexcept {
        ++counts_->writes;
        return inner_.write(e, out);
    }
    ashlar::result<> sync() noexcept {
        ++counts_->syncs;
        return inner_.sync();
    }
    ashlar::result<> trim(ashlar::extent e) noexcept { return inner_.trim(e); }

  private:
    Inner   inner_;
    counts* counts_;
};

using counted_memory = counting_device<ashlar::memory_device>;
static_assert(ashlar::BlockDevice<counted_memory>);  // the concept says what is missing, should something be

struct counted : ashlar::blueprint {
    using device    = counted_memory;
    using journal   = ashlar::ring_journal;
    using threading = ashlar::single_threaded;
};
using counted_store = ashlar::store<counted>;

ashlar::result<> run() {
    counted_memory::counts seen;
    BOOST_OUTCOME_TRY(auto memory, ashlar::memory_device::create({4096}, {4096}));
    counted_memory device{std::move(memory), seen};
    BOOST_OUTCOME_TRY(counted_store::format(device, {.volume = {std::byte{4}}}));
    BOOST_OUTCOME_TRY(auto store, counted_store::open(std::move(device)));

    const std::byte block[4096]{};
    BOOST_OUTCOME_TRY(store.put(store.root(), 0, block));  // what the first one loads is not counted
    seen = {};
    for (std::uint64_t i = 0; i < 100; ++i) { BOOST_OUTCOME_TRY(store.put(store.root(), i * sizeof block, block)); }
    std::printf("100 durable writes of a block: %llu writes, %llu syncs, %llu reads\n", seen.writes, seen.syncs,
                seen.reads);
    return store.close();
}

}  // namespace

int main() {
    const auto done = run();
    if (!done) std::fprintf(stderr, "%s\n", ashlar::message(done.error().code));
    return done ? 0 : 1;
}
