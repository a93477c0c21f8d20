#include "store_fixture.hpp"

#include <ashlar/device/device_ref.hpp>
#include <ashlar/device/native_device.hpp>
#include <ashlar/threading/single_threaded.hpp>

#include <unistd.h>
#include <cstdio>
#include <optional>

namespace ashlar::test {
namespace store_devices_test {

/// A file in the current folder with a volume's image, whatever wrote it.
struct image_file {
    image_file() {
        path = "store_image_" + std::to_string(::getpid()) + ".ash";
        std::remove(path.c_str());
    }
    image_file(const image_file&)            = delete;
    image_file& operator=(const image_file&) = delete;
    ~image_file() { std::remove(path.c_str()); }

    std::string path;
};

/// Adds objects to a volume on this device and closes it; what the volume held before must be there.
template <class Device>
void check_and_add(Device& device, model_state& model, std::uint64_t seed) {
    auto opened = opened_on(device);
    EXPECT_TRUE(opened.recovered().was_clean);
    EXPECT_EQ(difference(opened, model), "");
    EXPECT_EQ(findings_of(opened), "");
    for (std::uint64_t i = 0; i < 6; ++i) {
        const auto id = opened.create();
        ASHLAR_ASSERT_OK(id);
        const auto bytes = pattern(static_cast<std::size_t>(1 + i * 3000), seed + i);
        ASHLAR_ASSERT_OK(opened.write(id.value(), i * 100, bytes));
        model_write(model[id.value().value], i * 100, bytes);
    }
    ASHLAR_ASSERT_OK(opened.close());
}

/// One volume goes from memory to a file and from device to device; each goes on where the last one stopped.
TEST(StoreDevices, AVolumeWrittenThroughOneDeviceOpensThroughAnother) {
    for (const std::uint32_t block_bytes : {512U, 4096U}) {
        const image_file   file;
        const volume_shape shape{.block_bytes = block_bytes, .journal_blocks = 64};
        model_state        model;
        {
            auto memory = make_memory(shape);
            format_on(memory, shape);
            auto fresh                = opened_on(memory);
            model[fresh.root().value] = {};
            ASHLAR_ASSERT_OK(fresh.close());
            check_and_add(memory, model, 10);
            std::FILE* const out = std::fopen(file.path.c_str(), "wb");
            ASSERT_NE(out, nullptr);
            EXPECT_EQ(std::fwrite(memory.bytes().data(), 1, memory.bytes().size(), out), memory.bytes().size());
            ASSERT_EQ(std::fclose(out), 0);
        }
        const file_device_options how{.block_bytes = block_bytes};
        {
            auto device = file_device::open(file.path.c_str(), how);
            ASHLAR_ASSERT_OK(device);
            check_and_add(device.value(), model, 20);
        }
        {
            auto device = native_device::open(file.path.c_str(), how);
            ASHLAR_ASSERT_OK(device);
            check_and_add(device.value(), model, 30);
        }
#if defined(__linux__)
        if (try_io_uring()) {
            auto device = io_uring_device::open(file.path.c_str(), how);
            ASHLAR_ASSERT_OK(device);
            check_and_add(device.value(), model, 40);
        }
#endif
        std::FILE* const in = std::fopen(file.path.c_str(), "rb");
        ASSERT_NE(in, nullptr);
        auto back = make_memory(shape);
        EXPECT_EQ(std::fread(back.bytes().data(), 1, back.bytes().size(), in), back.bytes().size());
        std::fclose(in);
        check_and_add(back, model, 50);
    }
}

template <class Device>
struct device_blueprint : blueprint {
    using device    = Device;
    using journal   = ring_journal;
    using threading = single_threaded;
};

TEST(StoreDevices, ABlueprintMayNameTheSystemsOwnDevice) {
    using native_store = store<device_blueprint<native_device>>;
    const image_file file;
    const auto       wanted = pattern(5000, 1);
    {
        auto device = native_device::open(file.path.c_str(), {.create = true, .bytes = 1600 * 4096});
        ASHLAR_ASSERT_OK(device);
        ASHLAR_ASSERT_OK(native_store::format(device.value(), volume_shape{}.format()));
        auto opened = native_store::open(std::move(device).value(), with<native_store>());
        ASHLAR_ASSERT_OK(opened);
        ASHLAR_ASSERT_OK(opened.value().put(opened.value().root(), 0, wanted));
        ASHLAR_ASSERT_OK(opened.value().close());
    }
    auto device = native_device::open(file.path.c_str());
    ASHLAR_ASSERT_OK(device);
    auto opened = native_store::open(std::move(device).value(), with<native_store>());
    ASHLAR_ASSERT_OK(opened);
    byte_vector seen(wanted.size());
    ASHLAR_ASSERT_OK(opened.value().read(opened.value().root(), 0, std::span<std::byte>{seen}));
    EXPECT_EQ(seen, wanted);
}

}  // namespace store_devices_test
}  // namespace ashlar::test
