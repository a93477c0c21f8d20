/// ashlar dump: the bytes of one block, and what they are. Works on a volume that no longer opens.

#include "commands.hpp"

#include "../descriptor.hpp"
#include "../target.hpp"

#include <ashlar/format/superblock.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>

#include <cerrno>
#include <vector>

namespace cli {
namespace {

result<std::vector<std::byte>> read_block(const context& with, std::uint64_t offset, std::size_t bytes) {
    const descriptor file{::open(with.volume.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!file.open()) return system_failure("cannot open the volume", with.volume, errno);
    std::vector<std::byte> block(bytes);
    std::size_t            filled = 0;
    while (filled < bytes) {
        const auto got =
            ::pread(file.number(), block.data() + filled, bytes - filled, static_cast<off_t>(offset + filled));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return system_failure("cannot read the block", with.volume, errno);
        if (got == 0) break;
        filled += static_cast<std::size_t>(got);
    }
    block.resize(filled);
    return block;
}

/// The fixed frame that the block lies in, in words.
std::string frame_name(std::uint64_t block, std::uint32_t block_bytes) {
    static constexpr const char* names[] = {"superblock",
                                            "region pointers",
                                            "journal anchor",
                                            "reserved",
                                            "superblock, mirror",
                                            "region pointers, mirror",
                                            "journal anchor, second copy",
                                            "reserved",
                                            "region directory",
                                            "region directory, second copy"};
    const auto                   frame   = block / ashlar::frame_blocks_of({block_bytes}).value;
    return frame < std::size(names) ? names[frame] : "";
}

/// The four letters of a metadata block's trailer, where they are letters.
std::string tag_text(std::span<const std::byte> block) {
    constexpr std::size_t tag_at = ashlar::frame_bytes_min - ashlar::trailer_bytes;
    if (block.size() < ashlar::frame_bytes_min) return {};
    std::string text;
    for (std::size_t i = 0; i < 4; ++i) {
        const char letter = static_cast<char>(block[tag_at + i]);
        if (letter < '0' || letter > 'Z') return {};
        text += letter;
    }
    return text;
}

std::string hexdump(std::span<const std::byte> block, std::uint64_t offset) {
    std::string text;
    bool        repeated = false;
    for (std::size_t at = 0; at < block.size(); at += 16) {
        const auto line = block.subspan(at, std::min<std::size_t>(16, block.size() - at));
        if (at >= 16 && at + 16 < block.size() &&
            std::equal(line.begin(), line.end(), block.begin() + static_cast<std::ptrdiff_t>(at - 16))) {
            if (!repeated) text += "*\n";
            repeated = true;
            continue;
        }
        repeated = false;
        text += fmt::format("{:010x} ", offset + at);
        for (std::size_t i = 0; i < 16; ++i)
            text += i < line.size() ? fmt::format(" {:02x}", static_cast<unsigned>(line[i])) : "   ";
        text += "  |";
        for (const auto byte : line)
            text += byte >= std::byte{0x20} && byte < std::byte{0x7F} ? static_cast<char>(byte) : '.';
        text += "|\n";
    }
    return text;
}

}  // namespace

result<exit_code> run_dump(const context& with, const dump_options& options) {
    BOOST_OUTCOME_TRY(const auto target, look_at(with.volume));
    if (!target.exists) return failure{exit_code::not_found, "no such volume", with.volume, "check the path"};
    const auto block_bytes = options.block_bytes != 0 ? options.block_bytes : target.block_bytes;
    if (block_bytes == 0) {
        return failure{exit_code::corrupt, "no whole superblock says how large a block is", with.volume,
                       "give --block, such as --block 4096"};
    }
    const auto blocks = target.bytes / block_bytes;
    if (options.block >= blocks) {
        return failure{exit_code::usage, fmt::format("block {} does not exist", options.block), with.volume,
                       fmt::format("the last one is {}", blocks == 0 ? 0 : blocks - 1)};
    }

    // A metadata block fills a frame, which spans several small blocks; its tag shows only in the whole frame.
    const auto offset = options.block * block_bytes;
    BOOST_OUTCOME_TRY(const auto frame, read_block(with, offset, std::max(block_bytes, ashlar::frame_bytes_min)));
    const auto block = std::span{frame}.first(std::min<std::size_t>(block_bytes, frame.size()));
    const auto place = frame_name(options.block, block_bytes);
    const auto tag   = tag_text(frame);
    const bool zeros = std::all_of(block.begin(), block.end(), [](std::byte b) { return b == std::byte{0}; });
    with.out.say(fmt::format("block {} at byte {}{}{}{}", options.block, offset, place.empty() ? "" : ": " + place,
                             tag.empty() ? "" : ", tag " + tag, zeros ? ", all zeros" : ""));
    with.out.answer(hexdump(block, offset));
    std::string hexadecimal;
    if (with.out.json) {
        for (const auto byte : block) hexadecimal += fmt::format("{:02x}", static_cast<unsigned>(byte));
    }
    with.out.document(with.command, {{"volume", with.volume},
                                     {"block", options.block},
                                     {"block_bytes", block_bytes},
                                     {"offset", offset},
                                     {"frame", place},
                                     {"tag", tag},
                                     {"zeros", zeros},
                                     {"hex", hexadecimal}});
    return exit_code::ok;
}

}  // namespace cli
