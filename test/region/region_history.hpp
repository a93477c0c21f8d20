#pragma once
/// Shared by the crash tests of regions: which bytes a cut may leave.

#include "region_fixture.hpp"

namespace ashlar::test {

/// What the blocks of regions may hold after a cut. A block is a sector, so it holds one version whole; versions of a
/// block rise with each write.
class region_history {
  public:
    [[nodiscard]] static byte_vector bytes_of_version(std::uint64_t version) {
        byte_vector bytes(512, static_cast<std::byte>(version * 37 & 0xFFU));
        std::memcpy(bytes.data(), &version, sizeof version);
        return bytes;
    }

    /// The version of a write that begins after so many recorded calls.
    std::uint64_t begin_write(std::size_t region, std::uint64_t block, std::size_t calls) {
        writes_[{region, block}].push_back({++version_, calls, never});
        return version_;
    }
    /// The version of the newest write.
    [[nodiscard]] std::uint64_t newest() const { return version_; }
    /// A sync returned: what was written before it began, up to that version, is durable from there on.
    void synced(std::size_t calls, std::uint64_t newest = never) {
        for (auto& [block, writes] : writes_) {
            for (auto& one : writes) {
                if (one.version <= newest) one.durable = std::min(one.durable, calls);
            }
        }
    }
    /// The recording begins here: what was done so far is durable in all of it.
    void begin() {
        for (auto& [block, writes] : writes_) {
            for (auto& one : writes) one.begun = one.durable = 0;
        }
    }
    /// Empty, or what is wrong with a block after a cut behind so many calls.
    [[nodiscard]] std::string check(std::size_t region, std::uint64_t block, std::span<const std::byte> bytes,
                                    std::size_t calls) const {
        const auto at = writes_.find({region, block});
        if (at == writes_.end()) return {};
        std::uint64_t least = 0, most = 0, version = 0;
        for (const auto& one : at->second) {
            if (one.durable <= calls) least = one.version;
            if (one.begun <= calls) most = one.version;
        }
        if (least == 0) return {};  // may hold what was there before
        std::memcpy(&version, bytes.data(), sizeof version);
        const auto whole = bytes_of_version(version);
        if (std::memcmp(whole.data(), bytes.data(), bytes.size()) != 0) return "block is torn or foreign";
        if (version >= least && version <= most) return {};
        return "block holds version " + std::to_string(version) + ", not " + std::to_string(least) + " to " +
               std::to_string(most);
    }

  private:
    static constexpr std::size_t never = ~std::size_t{0};
    struct one_write {
        std::uint64_t version;
        std::size_t   begun;
        std::size_t   durable;
    };
    std::map<std::pair<std::size_t, std::uint64_t>, std::vector<one_write>> writes_;  // by the region's place in a list
    std::uint64_t                                                           version_ = 0;
};

}  // namespace ashlar::test
