/// Two accounts in two objects: a transfer changes both or none, whenever the power goes.

#include <ashlar/ashlar.hpp>

#include <cstdio>

namespace {

struct bank : ashlar::blueprint {
    using device    = ashlar::memory_device;
    using journal   = ashlar::ring_journal;
    using threading = ashlar::single_threaded;
};
using bank_store = ashlar::store<bank>;

ashlar::result<std::int64_t> balance(bank_store& in, ashlar::object_id account) {
    std::int64_t amount = 0;
    BOOST_OUTCOME_TRY(in.read(account, 0, std::as_writable_bytes(std::span{&amount, 1})));
    return amount;
}

ashlar::result<> transfer(bank_store& in, ashlar::object_id from, ashlar::object_id to, std::int64_t amount) {
    BOOST_OUTCOME_TRY(const auto left, balance(in, from));
    BOOST_OUTCOME_TRY(const auto right, balance(in, to));
    const std::int64_t after[] = {left - amount, right + amount};

    BOOST_OUTCOME_TRY(auto change, in.begin());
    BOOST_OUTCOME_TRY(change.write(from, 0, std::as_bytes(std::span{after, 1})));
    BOOST_OUTCOME_TRY(change.write(to, 0, std::as_bytes(std::span{after + 1, 1})));
    if (after[0] < 0) return ashlar::errc::invalid_argument;  // leaving drops the transaction: nothing happened
    return change.commit();                                   // both are visible and durable
}

ashlar::result<> run() {
    BOOST_OUTCOME_TRY(auto memory, ashlar::memory_device::create({4096}, {4096}));
    BOOST_OUTCOME_TRY(bank_store::format(memory, {.volume = {std::byte{1}}}));
    BOOST_OUTCOME_TRY(auto accounts, bank_store::open(std::move(memory)));
    BOOST_OUTCOME_TRY(const auto ours, accounts.create());
    BOOST_OUTCOME_TRY(const auto theirs, accounts.create());
    const std::int64_t hundred = 100;
    BOOST_OUTCOME_TRY(accounts.put(ours, 0, std::as_bytes(std::span{&hundred, 1})));

    for (const std::int64_t amount : {30, 500}) {
        const auto done = transfer(accounts, ours, theirs, amount);
        BOOST_OUTCOME_TRY(const auto left, balance(accounts, ours));
        BOOST_OUTCOME_TRY(const auto right, balance(accounts, theirs));
        std::printf("transfer of %lld %s: %lld and %lld\n", static_cast<long long>(amount), done ? "done" : "dropped",
                    static_cast<long long>(left), static_cast<long long>(right));
    }
    return accounts.close();
}

}  // namespace

int main() {
    const auto done = run();
    if (!done) std::fprintf(stderr, "%s\n", ashlar::message(done.error().code));
    return done ? 0 : 1;
}
