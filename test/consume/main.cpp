// What a user's first program sees: the front door is found, and a store keeps what was put in.

#include <ashlar/ashlar.hpp>

#include <array>

struct first_store : ashlar::blueprint {
    using device    = ashlar::memory_device;
    using journal   = ashlar::ring_journal;
    using threading = ashlar::single_threaded;
};

static ashlar::result<bool> keeps_what_was_put() {
    BOOST_OUTCOME_TRY(auto device, ashlar::memory_device::create({4096}, {1024}));
    BOOST_OUTCOME_TRY(ashlar::store<first_store>::format(device, {.volume = {std::byte{1}}}));
    BOOST_OUTCOME_TRY(auto store, ashlar::store<first_store>::open(std::move(device)));
    std::array<std::byte, 300> written{};
    std::array<std::byte, 300> read{};
    written[17] = std::byte{42};
    BOOST_OUTCOME_TRY(store.put(store.root(), 0, written));
    BOOST_OUTCOME_TRY(store.read(store.root(), 0, read));
    return read == written;
}

int main() {
    const auto answer = keeps_what_was_put();
    return answer.has_value() && answer.value() ? 0 : 1;
}
