#pragma once
/// What the threads of a simulation change, and what the store promises them of it.

#include <ashlar/testing/simulated_world.hpp>

namespace ashlar::inline v0 {

/// Changes objects of a store and of its model together.
template <class B>
class simulated_changes {
  public:
    explicit simulated_changes(simulated_world<B>& world) : world_{world} {}

    /// One operation of the thread that owns `mine`.
    void change(const simulated_step& step, simulated_owner& mine) {
        auto& slot = mine.slots[step.slot];
        if ((slot == object_id{}) != (step.verb == simulated_verb::create) &&
            step.verb != simulated_verb::transaction && step.verb != simulated_verb::dropped_transaction)
            return;
        const auto faults = world_.disk.faults().failures();
        const auto began  = world_.stamp();
        mine.begin(began, step.verb == simulated_verb::create);
        auto       slots = mine.slots;
        const auto done  = call(step, mine, slots);
        const auto ended = world_.stamp();
        world_.hash.add(static_cast<std::uint64_t>(done.why.code));
        if (done.wrong != nullptr) return world_.fail(step.text() + ": " + done.wrong);
        if (done.why.code == errc::none) {
            ++world_.counts.steps;
            mine.slots = slots;
            mine.succeed(ended);
            if (done.durable) promised(began, mine);
        } else if (world_.writing_ended()) {
            mine.slots = slots;
            mine.leave_open();
            world_.halted = true;
        } else {
            ++world_.counts.refused;
            if (mine.refuse()) world_.fail(step.text() + ": it was refused, and a reader has seen it: " + done.text());
            if (!world_.may_be(done.why, faults)) world_.fail(step.text() + ": " + done.text());
        }
    }

    /// A call that makes everything durable which returned before it.
    template <class Call>
    void promise(const char* what, Call call) {
        const auto faults = world_.disk.faults().failures();
        const auto began  = world_.stamp();
        const auto done   = call();
        world_.hash.add(done);
        if (done) {
            ++world_.counts.steps;
            for (auto& owner : world_.owners) owner.promise(began);
        } else if (world_.writing_ended()) {
            world_.halted = true;
        } else if (!world_.may_be(done.error(), faults)) {
            world_.fail(std::string{what} + ": " + said(done));
        }
    }

  private:
    operation_outcome call(const simulated_step& step, simulated_owner& mine,
                           std::array<object_id, simulated_slots>& slots) {
        const auto id    = mine.slots[step.slot];
        auto&      model = mine.model;
        auto&      store = world_.opened;
        switch (step.verb) {
            case simulated_verb::create: {
                std::set<std::uint64_t> before;
                for (const auto& [known, bytes] : model.state()) before.insert(known);
                const auto done = model.create(store);
                for (const auto& [known, bytes] : model.state()) {
                    if (before.count(known) == 0) slots[step.slot] = {known};
                }
                return done;
            }
            case simulated_verb::write:
                return model.write(store, id, step.a, pattern(static_cast<std::size_t>(step.b), step.seed));
            case simulated_verb::append:
                if (model.state().at(id.value).size() + step.b > world_.setup.block_bytes * 24U)
                    return model.truncate(store, id, step.b);
                return model.append(store, id, pattern(static_cast<std::size_t>(step.b), step.seed));
            case simulated_verb::truncate: return model.truncate(store, id, step.a);
            case simulated_verb::punch: return model.punch(store, id, step.a, step.b);
            case simulated_verb::reserve: return model.reserve(store, id, step.a, step.b);
            case simulated_verb::erase:
                if (id == store.root()) return model.unchanged("nothing", result<>{success()});
                return model.erase(store, id);
            default:
                return model.transaction(
                    store, [&](auto& tx) { fill(tx, step.seed, slots); }, step.verb == simulated_verb::transaction);
        }
    }

    /// Some changes of the thread's own objects.
    template <class Transaction>
    void fill(Transaction& tx, std::uint64_t seed, std::array<object_id, simulated_slots>& slots) {
        random_bits         random{seed};
        const std::uint64_t block = world_.setup.block_bytes;
        for (auto left = 1 + random.below(4); left != 0; --left) {
            auto&      slot   = slots[static_cast<std::size_t>(random.below(slots.size()))];
            const auto length = 1 + random.below(block + 300U);
            const auto offset = random.below(block * 4U);
            if (slot == object_id{}) {
                slot = tx.create();
                schedule::point();
                continue;
            }
            switch (random.below(6)) {
                case 0:
                    if (slot == world_.opened.root()) break;
                    tx.erase(slot);
                    slot = {};
                    break;
                case 1: tx.truncate(slot, offset); break;
                case 2: tx.punch(slot, offset, length); break;
                default: tx.write(slot, offset, pattern(static_cast<std::size_t>(length), random.next()));
            }
            schedule::point();  // it stays open while others go on
        }
    }

    /// What had returned before `began`, of any thread, is durable; `also` is the owner of a commit, which is too.
    void promised(std::uint64_t began, simulated_owner& also) {
        for (auto& owner : world_.owners) owner.promise(began);
        also.promise(simulated_world<B>::never);
    }

    simulated_world<B>& world_;
};

}  // namespace ashlar::inline v0
