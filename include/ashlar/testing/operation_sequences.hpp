#pragma once
/// All sequences of a few operations: most crash bugs need no more than three.

#include <ashlar/testing/crash_recorder.hpp>

#include <array>
#include <iterator>

namespace ashlar::inline v0 {

/// The alphabet: what a user does with objects, and a step of each task that a store has beside.
enum class operation_verb : std::uint8_t {
    write,      ///< Behind the end, with a hole before it.
    overwrite,  ///< In the middle, across blocks, aligned to nothing.
    append,     ///< Into the last block and beyond.
    truncate,   ///< In the middle of a block.
    punch,      ///< Whole blocks and parts of two.
    reserve,    ///< Of a hole and behind the end.
    create,     ///< A new object, with some bytes.
    erase,      ///< Of the object that the others work on; then they take the next one.
    commit,     ///< A transaction of several objects.
    sync,
    maintain,    ///< A step of the store's own maintenance.
    defragment,  ///< A step of the defragmenter, with a move.
    trim_step,   ///< A step of the trimmer.
    trim,        ///< Steps of the trimmer to the end.
    verify,
    repair,  ///< Of a volume that needs none.
    checkpoint,
    reopen,
};

inline constexpr std::array all_operation_verbs{
    operation_verb::write,      operation_verb::overwrite, operation_verb::append,   operation_verb::truncate,
    operation_verb::punch,      operation_verb::reserve,   operation_verb::create,   operation_verb::erase,
    operation_verb::commit,     operation_verb::sync,      operation_verb::maintain, operation_verb::defragment,
    operation_verb::trim_step,  operation_verb::trim,      operation_verb::verify,   operation_verb::repair,
    operation_verb::checkpoint, operation_verb::reopen,
};

[[nodiscard]] inline const char* name_of(operation_verb one) noexcept {
    static const char* const names[] = {"write",       "overwrite", "append", "truncate", "punch",      "reserve",
                                        "create",      "erase",     "commit", "sync",     "maintain",   "defragment",
                                        "trim a step", "trim",      "verify", "repair",   "checkpoint", "reopen"};
    static_assert(std::size(names) == all_operation_verbs.size());
    return names[static_cast<std::size_t>(one)];
}

/// Every sequence of so many verbs, numbered as numbers with that many digits are.
class operation_sequences {
  public:
    explicit operation_sequences(std::size_t                     length,
                                 std::span<const operation_verb> alphabet = all_operation_verbs) noexcept
        : length_{length}, alphabet_{alphabet} {}

    [[nodiscard]] std::uint64_t size() const noexcept {
        std::uint64_t product = 1;
        for (std::size_t i = 0; i < length_; ++i) product *= alphabet_.size();
        return product;
    }
    [[nodiscard]] std::vector<operation_verb> operator[](std::uint64_t number) const {
        std::vector<operation_verb> sequence(length_);
        for (auto at = length_; at-- > 0; number /= alphabet_.size())
            sequence[at] = alphabet_[static_cast<std::size_t>(number % alphabet_.size())];
        return sequence;
    }

  private:
    std::size_t                     length_;
    std::span<const operation_verb> alphabet_;
};

[[nodiscard]] inline std::string text_of(std::span<const operation_verb> sequence) {
    std::string text;
    for (const auto one : sequence) text += std::string{text.empty() ? "" : ", "} + name_of(one);
    return text;
}

/// Runs sequences on a recorder. Every verb works on the same object, the oldest there is, so that each meets what the
/// one before it left.
template <class Store>
class sequence_runner {
  public:
    explicit sequence_runner(crash_recorder<Store>& run) : run_{run}, block_{run.store().info().block.bytes} {}

    /// The ground: objects in many pieces, one that was erased, a hole, free blocks that the device was told of and
    /// some that it was not. All of it is durable, and only what follows is cut.
    void prepare() {
        std::vector<object_id> ids;
        for (int k = 0; k < 4; ++k) ids.push_back(run_.create().made);
        for (std::uint64_t i = 0; i < 5; ++i) {  // interleaved, so that each lies in pieces
            for (const auto id : ids) run_.append(id, bytes(block_ + block_ / 4));
        }
        run_.sync();
        trim_all();
        run_.punch(ids[1], 2 * block_, block_);
        run_.erase(ids[3]);
        run_.checkpoint();
        run_.append(run_.root(), bytes(200));
        run_.sync();
        run_.begin();
    }

    /// With `syncs` each verb is made durable alone, and a checkpoint ends it; without them they share what batches
    /// they can, and a sync ends it.
    void run(std::span<const operation_verb> sequence, bool syncs) {
        for (const auto one : sequence) {
            if (run_.is_open()) step(one);
            if (run_.is_open() && syncs) run_.sync();
        }
        if (run_.is_open()) syncs ? run_.checkpoint() : run_.sync();
    }

    void step(operation_verb one) {
        const auto id   = target();
        const auto size = run_.model().state().at(id.value).size();
        switch (one) {
            case operation_verb::write: run_.write(id, size + block_ + 100, bytes(block_ + 77)); return;
            case operation_verb::overwrite: run_.write(id, block_ / 2 + 37, bytes(2 * block_ + 50)); return;
            case operation_verb::append: run_.append(id, bytes(block_ / 2 + 90)); return;
            case operation_verb::truncate: run_.truncate(id, size * 2 / 3 + 1); return;
            case operation_verb::punch: run_.punch(id, block_ / 3, 2 * block_); return;
            case operation_verb::reserve: run_.reserve(id, 2 * block_, size + block_); return;
            case operation_verb::create: run_.write(run_.create().made, 0, bytes(block_ / 3)); return;
            case operation_verb::erase: id == run_.root() ? run_.truncate(id, 0) : run_.erase(id); return;
            case operation_verb::commit: return commit(id);
            case operation_verb::sync: run_.sync(); return;
            case operation_verb::maintain: run_.maintain(); return;
            case operation_verb::defragment: run_.defragment({.blocks_max = 6}); return;
            case operation_verb::trim_step: run_.trim({3}); return;
            case operation_verb::trim: return trim_all();
            case operation_verb::verify: run_.verify(); return;
            case operation_verb::repair: run_.repair(); return;
            case operation_verb::checkpoint: run_.checkpoint(); return;
            case operation_verb::reopen: return run_.reopen();
        }
    }

  private:
    [[nodiscard]] std::vector<std::byte> bytes(std::uint64_t count) {
        return pattern(static_cast<std::size_t>(count), ++number_);
    }

    /// The oldest object beside the root, or the root.
    [[nodiscard]] object_id target() {
        for (const auto& [id, held] : run_.model().state()) {
            if (object_id{id} != run_.root()) return {id};
        }
        return run_.root();
    }

    /// A new object, an old one changed in two places, the root longer: all of it or nothing.
    void commit(object_id id) {
        run_.transaction([&](auto& changes) {
            const auto made = changes.create();
            changes.write(made, block_ / 4, bytes(block_));
            changes.write(id, block_ + 11, bytes(block_ + 5));
            changes.punch(id, 3 * block_, block_);
            changes.append(run_.root(), bytes(90));
        });
    }

    /// Steps until every free block is known to the device; a volume has few, so it ends.
    void trim_all() {
        for (int step = 0; step < 64; ++step) {
            const auto done = run_.store().trim(block_count{4096});
            run_.must(run_.model().unchanged("trim", done));
            if (!done || done.value().finished) return;
        }
    }

    crash_recorder<Store>& run_;
    const std::uint64_t    block_;
    std::uint64_t          number_ = 0;
};

}  // namespace ashlar::inline v0
