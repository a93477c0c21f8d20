// A store is copied to another file while it is written. Passes follow over what changed since; then a short switch,
// and the new file is the old one at that moment.
#include <ashlar/ashlar.hpp>
#include <ashlar/device/native_device.hpp>
#include <ashlar/volume_copy.hpp>

#include <cstdio>
#include <string>
#include <vector>

struct shop : ashlar::blueprint {
    using device    = ashlar::native_device;
    using journal   = ashlar::ring_journal;
    using threading = ashlar::single_threaded;
};
using shop_store = ashlar::store<shop>;

static ashlar::result<shop_store> make(const std::string& path, std::uint64_t bytes, std::byte number) {
    BOOST_OUTCOME_TRY(auto device, ashlar::native_device::open(path.c_str(), {.create = true, .bytes = bytes}));
    BOOST_OUTCOME_TRY(shop_store::format(device, {.volume = {number}, .overwrite = true}));
    return shop_store::open(std::move(device));
}

static ashlar::result<> run(const std::string& path) {
    BOOST_OUTCOME_TRY(auto old_store, make(path, 64U << 20U, std::byte{1}));
    BOOST_OUTCOME_TRY(auto new_store, make(path + ".copy", 256U << 20U, std::byte{2}));
    std::vector<std::byte>         order(20'000, std::byte{'o'});
    std::vector<ashlar::object_id> orders;
    for (int i = 0; i < 500; ++i) {
        BOOST_OUTCOME_TRY(const auto id, old_store.create());
        BOOST_OUTCOME_TRY(old_store.append(id, order));
        orders.push_back(id);
    }

    // What is cut here goes on in another `volume_copy` on the same two stores.
    BOOST_OUTCOME_TRY(auto copying, ashlar::volume_copy<shop, shop>::open(old_store, new_store, {.in_use = true}));
    for (std::size_t sold = 0;; ++sold) {
        const auto said = copying.step({.blocks_max = 256});
        if (said.failure.code != ashlar::errc::none) return said.failure;
        if (said.reasons.has(ashlar::stop_reason::nothing_to_gain)) break;  // what is left is little
        BOOST_OUTCOME_TRY(old_store.write(orders[sold % orders.size()], 0, std::span{order}.first(100)));
        BOOST_OUTCOME_TRY(old_store.sync());
    }
    BOOST_OUTCOME_TRY(old_store.append(old_store.root(), order));  // the last change before the switch
    BOOST_OUTCOME_TRY(copying.finish());

    const auto& did = copying.last_result();
    std::printf("copied %llu blocks in %u passes, %llu of the device were never read\n",
                static_cast<unsigned long long>(did.blocks.value), did.passes,
                static_cast<unsigned long long>(did.skipped().value));
    BOOST_OUTCOME_TRY(const auto size, new_store.size(new_store.root()));
    return size == order.size() ? ashlar::result<>{ashlar::success()} : ashlar::errc::damaged;
}

int main(int count, char** words) {
    const auto done = run(count > 1 ? words[1] : "volume.ash");
    if (!done) std::printf("%s\n", ashlar::message(done.error().code));
    return done ? 0 : 1;
}
