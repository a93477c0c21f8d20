// The worked example of docs/format.md, made again.

#include <ashlar/ashlar.hpp>
#include <ashlar/device/device_ref.hpp>

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#ifndef ASHLAR_SOURCE
#define ASHLAR_SOURCE "."  // built by hand: run it from the root of the sources
#endif

namespace format_page_test {

using namespace ashlar;

struct example : blueprint {
    using device    = device_ref<memory_device>;
    using journal   = ring_journal;
    using threading = single_threaded;
};

result<> make_example(memory_device& memory) {
    device_ref     device{memory};
    format_options chosen{.label = "example"};
    for (std::size_t i = 0; i < chosen.volume.size(); ++i) chosen.volume[i] = static_cast<std::byte>(i);
    BOOST_OUTCOME_TRY(store<example>::format(device, chosen));
    BOOST_OUTCOME_TRY(auto opened, store<example>::open(device));
    constexpr char text[] = "hello, block";
    BOOST_OUTCOME_TRY(opened.append(opened.root(), std::as_bytes(std::span{text}).first(sizeof text - 1)));
    BOOST_OUTCOME_TRY(opened.sync());
    static_cast<void>(opened.abandon());
    return success();
}

/// Sixteen bytes as the page shows them.
std::string shown(std::span<const std::byte> bytes) {
    constexpr char digits[] = "0123456789abcdef";
    std::string    text;
    for (const auto byte : bytes) {
        if (!text.empty()) text += ' ';
        text += digits[std::to_integer<unsigned>(byte) >> 4U];
        text += digits[std::to_integer<unsigned>(byte) & 15U];
    }
    return text;
}

TEST(FormatPage, WorkedExampleIsWhatTheStoreWrites) {
    auto memory = memory_device::create({512}, {1024});
    ASSERT_TRUE(memory);
    ASSERT_TRUE(make_example(memory.value()));
    const auto image = memory.value().bytes();

    std::ifstream page{ASHLAR_SOURCE "/docs/format.md"};
    ASSERT_TRUE(page.is_open());
    std::size_t compared = 0;
    for (std::string line; std::getline(page, line);) {
        constexpr std::size_t address_width = 8;
        constexpr std::size_t bytes_width   = 16 * 3 - 1;
        if (line.find_first_not_of("0123456789abcdef") != address_width || line.compare(address_width, 2, "  ") != 0)
            continue;
        const auto at = std::stoull(line.substr(0, address_width), nullptr, 16);
        ASSERT_LE(at + 16, image.size());
        EXPECT_EQ(line.substr(address_width + 2, bytes_width), shown(image.subspan(at, 16)))
            << "at byte " << line.substr(0, address_width);
        ++compared;
    }
    EXPECT_GE(compared, 80U);
}

}  // namespace format_page_test
