/// Many customers at once, one thread: each is a coroutine that reads as if it were alone, and all their puts that are
/// under way share a sync.

#include <ashlar/ashlar.hpp>
#include <ashlar/device/native_device.hpp>
#include <ashlar/hosted/coroutine.hpp>

#include <cstdio>

#if ASHLAR_HAS_COROUTINES

namespace {

struct shop : ashlar::blueprint {
    using device    = ashlar::native_device;
    using journal   = ashlar::ring_journal;
    using threading = ashlar::single_threaded;
};

/// Counts an account up, durably at each step. What goes wrong is left in `failure`.
ashlar::detached customer(ashlar::requests<shop>& ask, ashlar::object_id account, int steps, ashlar::error& failure) {
    for (int i = 0; i < steps; ++i) {
        std::uint64_t visits = 0;
        const auto    read   = co_await ask.read(account, 0, std::as_writable_bytes(std::span{&visits, 1}));
        if (!read) co_return void(failure = read.error());
        ++visits;
        const auto put = co_await ask.put(account, 0, std::as_bytes(std::span{&visits, 1}));
        if (!put) co_return void(failure = put.error());
    }
}

ashlar::result<std::uint64_t> run(const char* path) {
    BOOST_OUTCOME_TRY(auto file, ashlar::native_device::open(path, {.create = true, .bytes = 16U << 20U}));
    BOOST_OUTCOME_TRY(ashlar::store<shop>::format(file, {.volume = {std::byte{1}}}));
    BOOST_OUTCOME_TRY(auto accounts, ashlar::store<shop>::open(std::move(file)));

    std::array<ashlar::object_id, 24> customers;
    for (auto& one : customers) { BOOST_OUTCOME_TRY(one, accounts.create()); }
    ashlar::error failure;
    {
        BOOST_OUTCOME_TRY(auto channel, ashlar::channel<shop>::open(accounts, {.depth = 16}));
        ashlar::requests<shop> ask{channel};
        for (const auto one : customers) customer(ask, one, 5, failure);
        BOOST_OUTCOME_TRY(ask.run());
    }
    if (failure.code != ashlar::errc::none) return failure;

    std::uint64_t visits = 0;
    for (const auto one : customers) {
        std::uint64_t own = 0;
        BOOST_OUTCOME_TRY(accounts.read(one, 0, std::as_writable_bytes(std::span{&own, 1})));
        visits += own;
    }
    std::printf("%llu visits, each durable, in %llu batches\n", static_cast<unsigned long long>(visits),
                static_cast<unsigned long long>(accounts.info().last.value));
    BOOST_OUTCOME_TRY(accounts.close());
    return visits;
}

}  // namespace

int main(int count, char** arguments) {
    const auto visits = run(count > 1 ? arguments[1] : "volume.ash");
    if (!visits) std::fprintf(stderr, "%s\n", ashlar::message(visits.error().code));
    return visits && visits.value() == 24 * 5 ? 0 : 1;
}

#else

int main() { std::puts("this compiler has no coroutines"); }

#endif
