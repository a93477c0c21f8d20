#pragma once
/// The objects of one logical thread: what they hold, what they held when, and what a power cut may leave of that.

#include <ashlar/testing/simulated_plan.hpp>
#include <ashlar/testing/store_model.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <span>

namespace ashlar::inline v0 {

/// What the objects of one thread held after one of its operations.
struct simulated_version {
    static constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

    std::map<std::uint64_t, std::uint64_t> objects{};      ///< Digests by id.
    std::uint64_t                          began = 0;      ///< Stamp from before the operation.
    std::uint64_t                          ended = never;  ///< Stamp from after it; `never` where nobody heard of it.
    bool makes_unknown = false;  ///< A create that was not answered: an empty object may be there, of any id.

    static constexpr std::uint64_t absent = 0;  ///< The digest of an object that is not there.

    [[nodiscard]] bool holds(std::uint64_t id, std::uint64_t digest) const {
        const auto at = objects.find(id);
        return digest == (at == objects.end() ? absent : at->second);
    }
};

[[nodiscard]] inline std::map<std::uint64_t, std::uint64_t> digests_of(const model_state& state) {
    std::map<std::uint64_t, std::uint64_t> made;
    for (const auto& [id, bytes] : state) made.emplace(id, digest_of(id, bytes));
    return made;
}

/// Objects that only one thread changes and any thread reads. Stamps grow with time: an operation that ended before
/// another began has the smaller ones.
class simulated_owner {
  public:
    explicit simulated_owner(object_id root) : model{root} { settle({}); }

    store_model                            model;
    std::array<object_id, simulated_slots> slots{};  ///< An id of 0: no object.

    // One operation of the thread: begun, then one of the three.

    void begin(std::uint64_t now, bool creates) noexcept {
        began_     = now;
        creates_   = creates;
        under_way_ = true;
        was_seen_  = false;
    }
    void succeed(std::uint64_t now) {
        under_way_ = false;
        versions_.push_back({digests_of(model.state()), began_, now, false});
        drop_slots();
    }
    /// Nobody knows whether it happened.
    void leave_open() {
        under_way_ = false;
        versions_.push_back({digests_of(model.attempted()), began_, simulated_version::never, creates_});
    }
    /// It did not happen. Answers whether somebody saw it nevertheless.
    [[nodiscard]] bool refuse() noexcept {
        under_way_ = false;
        return was_seen_;
    }

    /// Whether a read of the whole object that took from `from` to `to` may answer this; `absent`: that it is not
    /// there.
    [[nodiscard]] bool explains(std::uint64_t id, std::uint64_t digest, std::uint64_t from, std::uint64_t to) {
        for (std::size_t i = versions_.size(); i-- != 0;) {
            const bool was_over = i + 1 < versions_.size() && versions_[i + 1].ended < from;
            if (was_over) break;
            if (versions_[i].began < to && versions_[i].holds(id, digest)) return true;
        }
        const simulated_version attempted{digests_of(model.attempted())};
        if (!under_way_ || !attempted.holds(id, digest)) return false;
        was_seen_ = true;
        return true;
    }

    /// All that had ended before is durable; with `everything`, also what nobody waited for.
    void promise(std::uint64_t before) noexcept {
        for (auto i = promised_; i < versions_.size() && versions_[i].ended < before; ++i) promised_ = i;
    }

    [[nodiscard]] const std::vector<simulated_version>& versions() const noexcept { return versions_; }
    [[nodiscard]] std::size_t                           promised() const noexcept { return promised_; }

    /// Goes on from this state, all of it durable, with no past.
    void settle(std::optional<model_state> found) {
        if (found) model.restore(std::move(*found));
        versions_.assign(1, {digests_of(model.state()), 0, 0, false});
        promised_  = 0;
        under_way_ = false;
        drop_slots();
        for (const auto& [id, bytes] : model.state()) {
            if (std::find(slots.begin(), slots.end(), object_id{id}) != slots.end()) continue;
            const auto free = std::find(slots.begin(), slots.end(), object_id{});
            if (free != slots.end()) *free = object_id{id};
        }
    }

  private:
    void drop_slots() {
        for (auto& id : slots) {
            if (model.state().count(id.value) == 0) id = {};
        }
    }

    std::vector<simulated_version> versions_;
    std::size_t                    promised_  = 0;
    std::uint64_t                  began_     = 0;
    bool                           creates_   = false;
    bool                           under_way_ = false;
    bool                           was_seen_  = false;
};

/// Why a store may not hold this after a power cut; empty where it may. Then the objects are `found` apart by owner.
///
/// Each owner must show one of its versions, none from before what was promised to it. And there is no hole: where a
/// version survived, everything that had ended before its operation began, of any thread, survived too. Where two
/// versions are equal, the older is taken until another owner asks for the newer one, so that the answer is as kind as
/// it may be.
class simulated_survivors {
  public:
    simulated_survivors(std::span<const simulated_owner> owners, const model_state& found)
        : owners_{owners}, found_{owners.size()}, chosen_(owners.size()) {
        for (std::size_t i = 0; i < owners.size() && why_.empty(); ++i) chosen_[i] = owners[i].promised();
        for (const auto& [id, bytes] : found) assign(id, bytes);
        for (std::size_t i = 0; i < owners.size() && why_.empty(); ++i) find_from(i, chosen_[i], "promised");
        while (why_.empty() && raised()) {}
    }

    [[nodiscard]] const std::string& objection() const noexcept { return why_; }
    [[nodiscard]] model_state&       found(std::size_t owner) noexcept { return found_[owner]; }

  private:
    /// Gives an object to the owner that ever had it; an empty one that nobody had to whoever was just creating one.
    void assign(std::uint64_t id, const std::vector<std::byte>& bytes) {
        for (std::size_t i = 0; i < owners_.size(); ++i) {
            for (const auto& version : owners_[i].versions()) {
                if (version.objects.count(id) == 0) continue;
                found_[i].emplace(id, bytes);
                return;
            }
        }
        for (std::size_t i = 0; i < owners_.size() && bytes.empty(); ++i) {
            if (!owners_[i].versions().back().makes_unknown || unknown_.count(i) != 0) continue;
            unknown_.emplace(i, id);
            found_[i].emplace(id, bytes);
            return;
        }
        if (why_.empty()) why_ = "object " + std::to_string(id) + " is there, which nobody made";
    }

    [[nodiscard]] bool matches(std::size_t owner, const simulated_version& version) const {
        auto       digests = digests_of(found_[owner]);
        const auto unknown = unknown_.find(owner);
        if (unknown != unknown_.end()) {
            if (!version.makes_unknown) return false;
            digests.erase(unknown->second);
        }
        return digests == version.objects;
    }

    void find_from(std::size_t owner, std::size_t first, const char* because) {
        const auto& versions = owners_[owner].versions();
        for (auto i = first; i < versions.size(); ++i) {
            if (!matches(owner, versions[i])) continue;
            chosen_[owner] = i;
            return;
        }
        std::string shows = "what never was";
        for (std::size_t i = 0; i < versions.size(); ++i) {
            if (matches(owner, versions[i])) shows = "version " + std::to_string(i);
        }
        why_ = "the objects of thread " + std::to_string(owner) + " show " + shows + " of " +
               std::to_string(versions.size()) + ", and version " + std::to_string(first) + " was " + because;
    }

    /// Raises what a survivor of another owner asks for. An unanswered create asks for nothing: whose it is, is a
    /// guess.
    bool raised() {
        for (std::size_t later = 0; later < owners_.size(); ++later) {
            const auto& survivor = owners_[later].versions()[chosen_[later]];
            if (survivor.makes_unknown) continue;
            for (std::size_t i = 0; i < owners_.size(); ++i) {
                const auto& versions = owners_[i].versions();
                auto        needed   = chosen_[i];
                for (auto k = needed; k < versions.size() && versions[k].ended < survivor.began; ++k) needed = k;
                if (needed == chosen_[i]) continue;
                find_from(i, needed, "older than what thread " + std::to_string(later) + " kept");
                return why_.empty();
            }
        }
        return false;
    }
    void find_from(std::size_t owner, std::size_t first, const std::string& because) {
        find_from(owner, first, because.c_str());
    }

    std::span<const simulated_owner>     owners_;
    std::vector<model_state>             found_;
    std::vector<std::size_t>             chosen_;
    std::map<std::size_t, std::uint64_t> unknown_;  // ids of objects that were just being created, by owner
    std::string                          why_;
};

}  // namespace ashlar::inline v0
