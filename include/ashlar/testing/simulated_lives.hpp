#pragma once
/// Between two lives of a simulated store: it is made, closed, cut off, and opened; then all that it holds is judged.

#include <ashlar/testing/simulated_world.hpp>

namespace ashlar::inline v0 {

/// Begins and ends the lives of one store. No thread works on it meanwhile.
template <class B>
class simulated_lives {
  public:
    using world_type = simulated_world<B>;
    using store_type = typename world_type::store_type;

    explicit simulated_lives(world_type& world) : world_{world} {}

    void begin() {
        format_options format;
        for (std::size_t i = 0; i < format.volume.size(); ++i) format.volume[i] = static_cast<std::byte>(i + 1);
        format.journal_blocks = {world_.setup.journal_blocks};
        if (const auto done = store_type::format(world_.device, format); !done)
            return world_.fail("format: " + said(done));
        auto opened = store_type::open(world_.device, store_options());
        if (!opened) return world_.fail("open: " + said(opened));
        world_.opened = std::move(opened).value();
        for (std::size_t i = 0; i < world_.setup.threads; ++i) {
            world_.owners.emplace_back(world_.opened.root());
            if (i != 0) world_.owners.back().settle(model_state{});
        }
        world_.disk.faults().failing_writes(world_.setup.failing_writes);
    }

    /// Power goes, if it has not yet, and comes back; what the store holds then must be what a power cut may leave.
    void recover(std::uint64_t seed) {
        ++world_.counts.cuts;
        random_bits random{seed};
        static_cast<void>(world_.opened.abandon());
        heal();
        world_.disk.restart(random.next());
        if (!open_in_trouble(random)) return;
        heal();
        world_.disk.cut().cut_after(world_type::never);
        auto found = read_all("after a power cut");
        if (!found) return;
        simulated_survivors survivors{world_.owners, *found};
        if (!survivors.objection().empty()) return world_.fail("after a power cut " + survivors.objection());
        for (std::size_t i = 0; i < world_.owners.size(); ++i) world_.owners[i].settle(std::move(survivors.found(i)));
        if (auto wrong = findings_of(world_.opened); !wrong.empty()) world_.fail("verify after a power cut: " + wrong);
        if (auto broken = world_.disk.objection(); !broken.empty()) world_.fail(std::move(broken));
    }

    /// Closes and opens; nothing may be missing then.
    void reopen() {
        heal();
        world_.disk.cut().cut_after(world_type::never);
        if (world_.writing_ended()) return recover(world_.cut_seed);
        if (const auto done = world_.opened.close(); !done) return world_.fail("close: " + said(done));
        auto opened = store_type::open(world_.device, store_options());
        if (!opened) return world_.fail("open after close: " + said(opened));
        world_.opened = std::move(opened).value();
        ++world_.counts.reopened;
        auto found = read_all("after close and open");
        if (!found) return;
        model_state expected;
        for (const auto& owner : world_.owners) expected.insert(owner.model.state().begin(), owner.model.state().end());
        if (*found != expected) return world_.fail("after close and open: " + difference(world_.opened, expected));
        for (auto& owner : world_.owners) owner.settle(std::nullopt);
        if (auto wrong = findings_of(world_.opened); !wrong.empty())
            world_.fail("verify after close and open: " + wrong);
    }

  private:
    [[nodiscard]] typename store_type::options store_options() const {
        const auto& setup          = world_.setup;
        auto        chosen         = world_.options.base;
        auto&       limits         = chosen.limits;
        chosen.clock               = world_.clock;
        limits.cache_blocks        = setup.cache_blocks;
        limits.transactions        = setup.threads + 3;
        limits.staging_bytes       = setup.staging_bytes;
        limits.staged_bytes        = setup.staged_bytes;
        limits.unsynced_blocks     = setup.unsynced_blocks;
        limits.space.groups_loaded = setup.groups_loaded;
        return chosen;
    }

    void heal() {
        auto& faults = world_.disk.faults();
        world_.counts.faults += faults.failures() - failures_counted_;
        failures_counted_ = faults.failures();
        faults.heal();
        faults.failing_writes(world_.setup.failing_writes);
        world_.rotten = false;
    }

    /// Opens, while power goes again or the device fails, until it came through. Answers whether it ever did.
    bool open_in_trouble(random_bits& random) {
        auto& disk = world_.disk;
        for (int attempt = 0;; ++attempt) {
            const auto trouble = attempt < 3 ? random.below(6) : 5;
            const auto faults  = disk.faults().failures();
            if (trouble == 0) disk.cut().cut_after(1 + random.below(12));
            if (trouble == 1) disk.faults().fail(transfer_kind::read, 1 + random.below(30));
            if (trouble == 2) disk.faults().fail(transfer_kind::write, 1 + random.below(8));
            if (trouble == 3) disk.faults().fail(transfer_kind::sync, 1 + random.below(4));
            auto       opened   = store_type::open(world_.device, store_options());
            const bool troubled = !disk.cut().powered() || world_.disk_failed_since(faults);
            world_.hash.add(opened);
            if (opened && !troubled) {
                world_.opened = std::move(opened).value();
                return true;
            }
            if (!opened && !troubled) return world_.fail("it does not open: " + said(opened)), false;
            if (opened) static_cast<void>(opened.value().abandon());
            disk.restart(random.next());
        }
    }

    /// Everything that the store answers; nothing after an error, which is then the failure.
    std::optional<model_state> read_all(const char* when) {
        model_state found;
        for (object_id at{};;) {
            const auto next = world_.opened.next_object(at);
            if (!next) return world_.fail(std::string{when} + ", next_object: " + said(next)), std::nullopt;
            if (!next.value()) return found;
            at = *next.value();
            std::vector<std::byte> bytes(std::size_t{world_.setup.block_bytes} * simulated_object_blocks);
            const auto             got = world_.opened.read(at, 0, std::span<std::byte>{bytes});
            if (!got)
                return world_.fail(std::string{when} + ", object " + std::to_string(at.value) + ": " + said(got)),
                       std::nullopt;
            bytes.resize(got.value());
            found.emplace(at.value, std::move(bytes));
        }
    }

    world_type&   world_;
    std::uint64_t failures_counted_ = 0;
};

}  // namespace ashlar::inline v0
