#include <ashlar/device/device_ref.hpp>
#include <ashlar/device/file_device.hpp>
#include <ashlar/device/memory_device.hpp>
#include <ashlar/testing/device_conformance.hpp>
#include <ashlar/testing/faulty_device.hpp>
#include <ashlar/testing/power_cut_device.hpp>
#include <ashlar/testing/recording_device.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace device_conformance_test {

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

/// A device whose geometry is what a test says, and whose n-th read, write, sync or trim fails or is refused wrongly.
struct nth_device {
    memory_device&  memory;
    device_geometry told;
    transfer_kind   kind      = transfer_kind::read;
    std::uint64_t   fails_at  = 0;      ///< 0: never.
    bool            elsewhere = false;  ///< What lies outside is refused with another block.
    bool            unsteady  = false;  ///< Its geometry changes each time.
    std::uint64_t   calls     = 0;

    device_geometry geometry() const noexcept {
        auto now = told;
        if (unsteady) now.blocks.value -= asked++ % 2;
        return now;
    }
    result<> read(extent e, std::span<std::byte> in) noexcept {
        return due(transfer_kind::read) ? failed(e) : placed(memory.read(e, in));
    }
    result<> write(extent e, std::span<const std::byte> out) noexcept {
        return due(transfer_kind::write) ? failed(e) : placed(memory.write(e, out));
    }
    result<> sync() noexcept { return due(transfer_kind::sync) ? failed({}) : memory.sync(); }
    result<> trim(extent e) noexcept { return due(transfer_kind::trim) ? failed(e) : memory.trim(e); }

    mutable std::uint64_t asked = 0;

  private:
    bool            due(transfer_kind one) noexcept { return one == kind && ++calls == fails_at; }
    static result<> failed(extent e) noexcept { return error{errc::device_failed, e.first}; }
    result<>        placed(result<> done) const noexcept {
               if (!done && elsewhere) return error{done.error().code, done.error().where + block_count{1}};
        return done;
    }
};

bool is_named(const conformance_failures& failures, const char* words) {
    return std::any_of(failures.begin(), failures.end(),
                       [&](const std::string& one) { return one.find(words) != std::string::npos; });
}

TEST(DeviceConformance, NamesAGeometryThatCanNotBe) {
    auto       memory = memory_device::create({512}, {64}).value();
    const auto said   = [&](auto change) {
        nth_device device{memory, memory.geometry()};
        change(device);
        return device_conformance(device);
    };
    EXPECT_TRUE(said([](auto&) {}).empty());
    EXPECT_TRUE(is_named(said([](auto& d) { d.told.size = {500}; }), "the block size is no power of two"));
    EXPECT_TRUE(is_named(said([](auto& d) { d.told.memory_alignment = 0; }), "the alignment of memory"));
    EXPECT_TRUE(is_named(said([](auto& d) { d.told.memory_alignment = 24; }), "the alignment of memory"));
    EXPECT_TRUE(is_named(said([](auto& d) { d.told.trim_granularity = {}; }), "the granularity of trims is zero"));
    EXPECT_TRUE(is_named(said([](auto& d) { d.unsteady = true; }), "two calls gave different answers"));
}

TEST(DeviceConformance, NamesEachCallThatFailsUnlessItWasMeantTo) {
    auto memory = memory_device::create({512}, {64}).value();
    for (const auto kind : {transfer_kind::read, transfer_kind::write, transfer_kind::sync, transfer_kind::trim}) {
        for (std::uint64_t nth = 1;; ++nth) {
            nth_device device{memory, memory.geometry(), kind, nth};
            const auto failures = device_conformance(device);
            if (device.calls < nth) break;
            const bool meant = kind == transfer_kind::trim && nth <= 2;  // those outside
            EXPECT_EQ(failures.empty(), meant) << static_cast<int>(kind) << " " << nth;
        }
    }
    nth_device device{memory, memory.geometry()};
    device.elsewhere    = true;
    const auto failures = device_conformance(device);
    EXPECT_TRUE(is_named(failures, "read did not say out_of_range at its first block"));
    EXPECT_TRUE(is_named(failures, "write did not say out_of_range at its first block"));
}

TEST(DeviceConformance, PersistenceNamesWhatFailed) {
    auto       memory = memory_device::create({512}, {64}).value();
    int        opens  = 0;
    const auto said   = [&](int refused_open, transfer_kind kind, std::uint64_t nth) {
        opens              = 0;
        const auto failure = device_persistence([&]() -> result<nth_device> {
            if (++opens == refused_open) return errc::busy;
            return nth_device{memory, memory.geometry(), kind, nth};
        });
        return failure.empty() ? std::string{} : failure.front();
    };
    EXPECT_EQ(said(0, transfer_kind::read, 0), "");
    EXPECT_EQ(said(1, transfer_kind::read, 0), "the device did not open");
    EXPECT_EQ(said(2, transfer_kind::read, 0), "the device did not open again");
    EXPECT_EQ(said(0, transfer_kind::write, 1), "the write failed");
    EXPECT_EQ(said(0, transfer_kind::sync, 1), "the sync failed");
    EXPECT_EQ(said(0, transfer_kind::read, 1), "the read after opening again failed");
}

TEST(DeviceConformance, PersistenceFindsADeviceThatForgets) {
    EXPECT_EQ(device_persistence([] { return memory_device::create({512}, {8}); }).size(), 1U);
}

}  // namespace device_conformance_test
