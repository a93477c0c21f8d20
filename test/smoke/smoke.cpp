// A store in a program with a plain main and no test framework, so that it also builds without exceptions and RTTI.

#include <ashlar/ashlar.hpp>
#include <ashlar/device/device_ref.hpp>

#include <array>
#include <cstdio>
#include <vector>

namespace {

struct plain : ashlar::blueprint {
    using device    = ashlar::device_ref<ashlar::memory_device>;
    using journal   = ashlar::ring_journal;
    using threading = ashlar::single_threaded;
};
using plain_store = ashlar::store<plain>;

std::vector<std::byte> sample(std::size_t size) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 131 + (i >> 8U));
    return bytes;
}

/// Whether what was synced is found again after a close, and also after a stop without one.
ashlar::result<bool> survives(std::uint32_t block_bytes, bool closes) {
    BOOST_OUTCOME_TRY(auto memory, ashlar::memory_device::create({block_bytes}, {(16U << 20U) / block_bytes}));
    ashlar::device_ref device{memory};
    BOOST_OUTCOME_TRY(plain_store::format(device, {.volume = {std::byte{7}}, .label = "smoke"}));

    const auto        written = sample(100'000);
    ashlar::object_id kept{};
    {
        BOOST_OUTCOME_TRY(auto store, plain_store::open(device));
        BOOST_OUTCOME_TRY(kept, store.create());
        BOOST_OUTCOME_TRY(store.write(kept, 0, written));
        BOOST_OUTCOME_TRY(store.append(store.root(), std::span{written}.first(10)));
        BOOST_OUTCOME_TRY(store.sync());
        if (closes) {
            BOOST_OUTCOME_TRY(store.close());
        } else {
            static_cast<void>(store.abandon());
        }
    }
    BOOST_OUTCOME_TRY(auto store, plain_store::open(device));
    std::vector<std::byte> read(written.size() + 1);
    BOOST_OUTCOME_TRY(const auto bytes, store.read(kept, 0, read));
    read.resize(bytes);
    BOOST_OUTCOME_TRY(const auto root_bytes, store.size(store.root()));
    return read == written && root_bytes == 10;
}

}  // namespace

int main() {
    int failures = 0;
    for (const std::uint32_t block_bytes : {512U, 4096U, 65536U}) {
        for (const bool closes : {true, false}) {
            const auto answer = survives(block_bytes, closes);
            if (answer.has_value() && answer.value()) continue;
            std::printf("blocks of %u bytes, %s: %s\n", static_cast<unsigned>(block_bytes),
                        closes ? "closed" : "left open",
                        answer.has_error() ? ashlar::message(answer.error().code) : "other bytes were read");
            ++failures;
        }
    }
    return failures == 0 ? 0 : 1;
}
