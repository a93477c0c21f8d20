#include <ashlar/device/device_ref.hpp>
#include <ashlar/device/file_device.hpp>
#include <ashlar/device/memory_device.hpp>
#include <ashlar/testing/device_conformance.hpp>
#include <ashlar/testing/faulty_device.hpp>
#include <ashlar/testing/power_cut_device.hpp>
#include <ashlar/testing/recording_device.hpp>

#include <gtest/gtest.h>

#include <string>

namespace {

using namespace ashlar;

template <class D>
void expect_conforms(D& device) {
    for (const auto& failure : device_conformance(device)) ADD_FAILURE() << failure;
}

TEST(DeviceConformance, MemoryAndEveryDecoratorConform) {
    for (const std::uint32_t bytes : {512U, 4096U, 65536U}) {
        auto memory = memory_device::create({bytes}, {64}).value();
        expect_conforms(memory);
        device_ref lent{memory};
        expect_conforms(lent);
        power_cut_device cut{memory};
        expect_conforms(cut);
        faulty_device faulty{memory};
        expect_conforms(faulty);
        recording_device recording{memory};
        expect_conforms(recording);
    }
}

TEST(DeviceConformance, FilesConformAndKeepSyncedBlocks) {
    const std::string path = "device_conformance_" + std::to_string(::getpid()) + ".ash";
    for (const std::uint32_t bytes : {512U, 4096U}) {
        for (const auto direct : {direct_io::off, direct_io::automatic}) {
            const auto open = [&] {
                return file_device::open(path.c_str(),
                                         {.block_bytes = bytes, .direct = direct, .create = true, .bytes = 2U << 20U});
            };
            {
                auto device = open();
                ASSERT_TRUE(device) << message(device.error().code);
                expect_conforms(device.value());
            }
            for (const auto& failure : device_persistence(open)) ADD_FAILURE() << failure;
        }
    }
    ::unlink(path.c_str());
}

/// A device with one fault of its own, to see that the checks find it.
struct wrong_device {
    enum class fault { none, ignores_bounds, writes_short, trims_too_much, needs_alignment, fails_empty_sync };
    memory_device& memory;
    fault          kind;
    bool           written = false;

    device_geometry geometry() const noexcept { return memory.geometry(); }
    result<>        read(extent e, std::span<std::byte> in) noexcept {
               if (kind == fault::ignores_bounds && !transfer_fits(geometry(), e, in.size())) return success();
        if (kind == fault::needs_alignment && reinterpret_cast<std::uintptr_t>(in.data()) % 8 != 0)
            return error{errc::device_failed, e.first};
        return memory.read(e, in);
    }
    result<> write(extent e, std::span<const std::byte> out) noexcept {
        written = true;
        if (kind == fault::writes_short && e.count.value > 4)
            return memory.write({e.first, {4}}, out.first(4 * std::size_t{geometry().size.bytes}));
        return memory.write(e, out);
    }
    result<> sync() noexcept {
        const bool any = written;
        written        = false;
        return any || kind != fault::fails_empty_sync ? result<>{success()} : result<>{errc::device_failed};
    }
    result<> trim(extent e) noexcept {
        if (!memory.trim(e)) return error{errc::out_of_range, e.first};
        if (kind != fault::trims_too_much || e.empty() || e.end().value == geometry().blocks.value) return success();
        const std::vector<std::byte> zeros(geometry().size.bytes);
        return memory.write({e.end(), {1}}, zeros);
    }
};

TEST(DeviceConformance, FindsADeviceThatDoesNotConform) {
    using fault         = wrong_device::fault;
    auto         memory = memory_device::create({512}, {64}).value();
    wrong_device right{memory, fault::none};
    EXPECT_TRUE(device_conformance(right).empty());
    for (const auto kind : {fault::ignores_bounds, fault::writes_short, fault::trims_too_much, fault::needs_alignment,
                            fault::fails_empty_sync}) {
        wrong_device wrong{memory, kind};
        EXPECT_FALSE(device_conformance(wrong).empty()) << static_cast<int>(kind);
    }
    auto small = memory_device::create({512}, {4}).value();
    EXPECT_EQ(device_conformance(small).size(), 1U);
}

TEST(DeviceConformance, PersistenceFindsADeviceThatForgets) {
    EXPECT_EQ(device_persistence([] { return memory_device::create({512}, {8}); }).size(), 1U);
}

}  // namespace
