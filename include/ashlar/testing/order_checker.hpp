#pragma once
/// A device that watches whether the store above keeps the order that a power cut asks for.

#include <ashlar/testing/journal_history.hpp>

#include <mutex>
#include <set>

namespace ashlar::inline v0 {

/// What a checker has looked at: zero means that a test proved nothing.
struct order_checks {
    std::uint64_t batches     = 0;  ///< Batches seen durable.
    std::uint64_t home_writes = 0;  ///< Metadata blocks that went home.
    std::uint64_t reuses      = 0;  ///< Freed blocks that were written again.
    std::uint64_t trims       = 0;  ///< Freed blocks that were trimmed.
    std::uint64_t anchors     = 0;  ///< Anchors written.
};

/// Any device below a store with a ring journal. It learns what is metadata from trailers, directory and journal alone,
/// and writes down a violation when
///  - a metadata block goes home with changes that no confirmed batch carries, or with bytes that no batch made;
///  - a freed block is written, trimmed or given away before the batch that freed it is confirmed, and, if it was
///    metadata, before both anchors' tail has passed that batch;
///  - a block in use is trimmed, or a trimmed one is written before the next sync;
///  - an anchor's tail passes a change that is not durable at home;
///  - a batch that replay needs is overwritten, or a header claims what no sync had made durable;
///  - both copies of a frame are on their way without a sync between them.
///
/// Confirmed means: a durable batch header, or both durable anchors, say that it was acknowledged. Every call goes on
/// to the inner device whatever is found. Formatting is not judged: the checker begins when a superblock becomes
/// durable. After a power cut below, call `restarted`. It reads the inner device after each sync, so put devices that
/// fail or count reads above it. Safe from: several threads, one at a time inside.
template <BlockDevice Inner>
class order_checker {
  public:
    explicit order_checker(Inner& inner) : inner_{inner} { history_.open(inner_); }

    [[nodiscard]] device_geometry geometry() const noexcept { return inner_.geometry(); }

    [[nodiscard]] result<> read(extent e, std::span<std::byte> in) noexcept {
        const std::lock_guard lock{mutex_};
        return inner_.read(e, in);
    }

    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept {
        const std::lock_guard lock{mutex_};
        if (transfer_fits(geometry(), e, out.size()) && !e.empty()) check_write(e, out);
        return inner_.write(e, out);
    }

    [[nodiscard]] result<> sync() noexcept {
        const std::lock_guard lock{mutex_};
        BOOST_OUTCOME_TRY(inner_.sync());
        after_sync();
        return success();
    }

    [[nodiscard]] result<> trim(extent e) noexcept {
        const std::lock_guard lock{mutex_};
        if (lies_in(e, {block_index{0}, geometry().blocks})) check_trim(e);
        return inner_.trim(e);
    }

    /// The device below came up again after a power cut: what it holds now is all that there is.
    void restarted() {
        const std::lock_guard lock{mutex_};
        pending_home_.clear();
        pending_frames_.clear();
        pending_trims_.clear();
        history_.open(inner_);
    }

    /// One sentence for each violation, the first 100; empty when the order was kept.
    [[nodiscard]] std::vector<std::string> violations() const {
        const std::lock_guard lock{mutex_};
        return violations_;
    }
    [[nodiscard]] order_checks checks() const noexcept {
        const std::lock_guard lock{mutex_};
        return checks_;
    }
    /// Whether it follows a volume at the moment.
    [[nodiscard]] bool is_watching() const noexcept {
        const std::lock_guard lock{mutex_};
        return history_.is_open();
    }

  private:
    static constexpr std::size_t violations_max = 100;

    void report(std::string what) {
        if (violations_.size() < violations_max) violations_.push_back(std::move(what));
    }
    static std::string text(block_index block) { return "block " + std::to_string(block.value); }
    static std::string text(sequence s) { return journal_history::text(s); }

    [[nodiscard]] std::span<const std::byte> block_at(std::span<const std::byte> bytes,
                                                      std::uint64_t              number) const noexcept {
        return bytes.subspan(static_cast<std::size_t>(bytes_of({number}, geometry().size)), geometry().size.bytes);
    }

    /// Whether a write changes nothing. What cannot be read has lost its power: then the write fails too.
    [[nodiscard]] bool holds(block_index block, std::span<const std::byte> bytes) {
        scratch_.resize(bytes.size());
        const auto blocks = whole_blocks(bytes.size(), geometry().size);
        return !inner_.read({block, blocks}, scratch_) || std::equal(bytes.begin(), bytes.end(), scratch_.begin());
    }

    void check_write(extent e, std::span<const std::byte> out) {
        const auto frame_blocks = frame_blocks_of(geometry().size);
        if (e.first < frames_end(geometry().size)) {
            const auto number = e.first.value / frame_blocks.value;
            frames_written_   = true;
            if (number == frame::superblock &&
                std::all_of(out.begin(), out.end(), [](std::byte b) { return b == std::byte{0}; }))
                history_.close();
            if (!history_.is_open()) return;
            if (e != extent{frame_home(number, geometry().size), frame_blocks})
                return report("frame " + std::to_string(number) + " was not written as a whole");
            return check_frame(number, out);
        }
        if (!history_.is_open()) return;
        for (std::uint64_t i = 0; i < e.count.value; ++i) check_block(e.first + block_count{i}, block_at(out, i));
    }

    void check_block(block_index block, std::span<const std::byte> bytes) {
        if (pending_trims_.count(block) != 0)
            report(text(block) + " was written after a trim without a sync between them");
        if (history_.in_ring(block)) {
            if (history_.in_live_ring(block) && !holds(block, bytes))
                report(text(block) + " of the ring was overwritten while replay needs it");
            return;
        }
        if (goes_home(block, bytes)) return;
        if (history_.is_spare(block)) return history_.forget(block);
        if (const auto* freed = history_.freed(block)) {
            if (holds(block, bytes))
                return;  // recovery writes listed data again, also of blocks that a later batch freed
            ++checks_.reuses;
            if (!history_.is_settled(*freed)) {
                report(text(block) + " was written again, but batch " + text(freed->batch) + " that freed it is not " +
                       (freed->batch > history_.confirmed() ? "confirmed" : "behind the tail"));
            }
            return history_.forget(block);
        }
        // Where a cut left a bitmap that was already home, nobody saw which batch freed the block: its bit alone says
        // so.
        const bool metadata = history_.find(block) != nullptr && history_.is_in_use(inner_, block);
        if (metadata || history_.in_engine_region(block) || is_node(bytes)) {
            if (!holds(block, bytes))
                report(text(block) + " is metadata and was written with bytes that no durable batch carries");
        } else {
            history_.forget(block);
        }
    }

    /// Whether these are the bytes of the block after some batch; if so, whether that batch is confirmed.
    bool goes_home(block_index block, std::span<const std::byte> bytes) {
        const auto* known = history_.find(block);
        if (known == nullptr) return false;
        const auto hash = xxh3_64(bytes);
        for (const auto& version : known->versions) {
            if (version.hash != hash) continue;
            ++checks_.home_writes;
            pending_home_[block] = version.batch;
            if (version.batch > history_.confirmed()) {
                report(text(block) + " went home with changes of batch " + text(version.batch) + ", but only batch " +
                       text(history_.confirmed()) + " and older ones are confirmed");
            }
            return true;
        }
        return false;
    }

    [[nodiscard]] bool is_node(std::span<const std::byte> bytes) const noexcept {
        const block_identity identity{tag::node, load_little<std::uint64_t>(bytes.data()),
                                      load_little<std::uint64_t>(bytes.data() + 8)};
        return is_sealed(bytes, tag::node, identity_seed(history_.volume(), identity));
    }

    /// The frame that holds the same content, and the one of the two that the journal names.
    static std::uint64_t twin_of(std::uint64_t number) noexcept {
        return number >= frame::directory ? number ^ 1U : number ^ 4U;
    }
    static std::uint64_t first_of(std::uint64_t number) noexcept {
        return number >= frame::directory ? frame::directory : number & 3U;
    }

    void check_frame(std::uint64_t number, std::span<const std::byte> bytes) {
        const auto home = frame_home(number, geometry().size);
        const auto twin = frame_home(twin_of(number), geometry().size);
        if (pending_frames_.count(twin_of(number)) != 0)
            report("frame " + std::to_string(number) + " was written before a sync covered its other copy");
        pending_frames_.insert(number);
        const auto content = bytes.first(frame_bytes_min);
        if (first_of(number) == frame::anchor) return check_anchor(content);
        if (goes_home(frame_home(first_of(number), geometry().size), content)) return;
        if (!holds(home, bytes) && !holds(twin, bytes))
            report("frame " + std::to_string(number) + " was written with bytes that no durable batch carries");
    }

    void check_anchor(std::span<const std::byte> content) {
        ++checks_.anchors;
        const auto anchor = decode_anchor(content, history_.volume());
        if (!anchor) return report("an anchor was written that is none");
        if (anchor->confirmed > history_.last().value)
            report("an anchor confirms batch " + text(sequence{anchor->confirmed}) + ", which no sync made durable");
        for (const auto& [home, block] : history_.blocks()) {
            sequence needed{};
            for (const auto& version : block.versions) {
                if (version.batch.value < anchor->tail) needed = version.batch;
            }
            const auto* freed = history_.freed(home);
            if (needed <= block.home || (freed != nullptr && freed->batch <= history_.confirmed())) continue;
            report("the tail passes batch " + text(needed) + ", whose change of " + text(home) +
                   " is not durable at home");
        }
    }

    void check_trim(extent e) {
        if (!history_.is_open()) return;
        for (std::uint64_t i = 0; i < e.count.value; ++i) {
            const auto block = e.first + block_count{i};
            pending_trims_.insert(block);
            if (const auto* freed = history_.freed(block)) {
                ++checks_.trims;
                if (!history_.is_settled(*freed)) {
                    report(text(block) + " was trimmed, but batch " + text(freed->batch) + " that freed it is not " +
                           (freed->batch > history_.confirmed() ? "confirmed" : "behind the tail"));
                }
            } else if (history_.is_in_use(inner_, block)) {
                report(text(block) + " was trimmed while it is in use");
            }
        }
    }

    void after_sync() {
        pending_trims_.clear();
        pending_frames_.clear();
        for (const auto& [block, batch] : pending_home_) {
            if (auto* known = history_.find(block)) known->home = std::max(known->home, batch);
        }
        pending_home_.clear();
        const bool frames = std::exchange(frames_written_, false);
        if (!history_.is_open()) {
            if (frames) history_.open(inner_);
            return;
        }
        const auto before = history_.last();
        history_.follow(inner_, violations_);
        if (history_.is_open()) checks_.batches += history_.last().value - before.value;
        if (frames && history_.is_open()) {
            history_.follow_anchors(inner_);
            history_.forget_before_tail();
        }
    }

    Inner&                          inner_;
    mutable std::mutex              mutex_;
    journal_history                 history_;
    std::map<block_index, sequence> pending_home_;  // written home since the last sync
    std::set<std::uint64_t>         pending_frames_;
    std::set<block_index>           pending_trims_;
    bool                            frames_written_ = false;
    std::vector<std::byte>          scratch_;
    std::vector<std::string>        violations_;
    order_checks                    checks_{};
};

}  // namespace ashlar::inline v0
