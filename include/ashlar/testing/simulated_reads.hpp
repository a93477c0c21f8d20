#pragma once
/// Reads of a simulated store, each compared with what its object held while the read was under way.

#include <ashlar/testing/simulated_world.hpp>

namespace ashlar::inline v0 {

/// Reads objects: a thread those parts of its own that a step names, and whole ones of others.
template <class B>
class simulated_reads {
  public:
    explicit simulated_reads(simulated_world<B>& world) : world_{world} {}

    void read(const simulated_step& step, std::size_t thread) {
        if (step.owner >= world_.owners.size()) return;
        auto&      owner = world_.owners[step.owner];
        const auto id    = owner.slots[step.slot];
        if (id == object_id{}) return;
        const bool own    = step.owner == thread;
        const auto from   = own ? step.a : 0;
        const auto faults = world_.disk.faults().failures();
        const auto size   = own ? step.b : std::uint64_t{world_.setup.block_bytes} * simulated_object_blocks;
        auto       bytes  = std::vector<std::byte>(static_cast<std::size_t>(size), std::byte{0xEE});
        const auto began  = world_.stamp();
        const auto done   = world_.opened.read(id, from, std::span<std::byte>{bytes});
        const auto ended  = world_.stamp();
        world_.hash.add(done);
        if (!done && done.error().code != errc::not_found) {
            if (!world_.writing_ended() && !world_.may_be(done.error(), faults))
                world_.fail(step.text() + ": " + said(done));
            return;
        }
        ++world_.counts.steps;
        ++world_.counts.reads;
        const auto seen = std::span{bytes}.first(done ? done.value() : 0);
        world_.hash.add(seen);
        if (own) {
            if (!done || !holds(owner, id, step, seen))
                world_.fail(step.text() + ", which answers other bytes than were written");
        } else {
            const auto digest = done ? digest_of(id.value, seen) : simulated_version::absent;
            if (!owner.explains(id.value, digest, began, ended))
                world_.fail(step.text() + " by thread " + std::to_string(thread) +
                            ", which answers what it did not hold then");
        }
    }

  private:
    /// Whether an object of the reader's own holds these bytes where the step reads.
    static bool holds(const simulated_owner& owner, object_id id, const simulated_step& step,
                      std::span<const std::byte> seen) {
        const auto& all  = owner.model.state().at(id.value);
        const auto  most = all.size() < step.a ? 0 : std::min<std::uint64_t>(all.size() - step.a, step.b);
        const auto  at   = all.begin() + static_cast<std::ptrdiff_t>(most == 0 ? 0 : step.a);
        return seen.size() == most && std::equal(seen.begin(), seen.end(), at);
    }

    simulated_world<B>& world_;
};

}  // namespace ashlar::inline v0
