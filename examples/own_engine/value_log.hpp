#pragma once
/// The engine: keys and values over one device. It knows nothing of ashlar.

#include "free_space.hpp"
#include "value.hpp"

#include <mutex>

namespace own_engine {

/// Values that grow at their ends, in blocks that are never written over.
///
/// New bytes go to the next free blocks of the log; a sync makes them durable, then writes a record that names them.
/// Until that record is durable the old blocks keep their bytes, so whatever kills the process or the power, opening
/// finds the state of one sync: the last that returned, or the one that was under way.
///
/// Any thread may call anything. A put holds the lock while it writes; gets and moves read and copy without it.
template <class Device>
class value_log {
  public:
    explicit value_log(Device& device) : device_{&device}, index_{device} {}

    /// An empty engine, durable on return.
    status format() {
        const std::lock_guard lock{state_};
        reset();
        return index_.format(record_of_everything()) ? status::ok : status::device_failed;
    }

    /// Reads the index, and from it which blocks are free. What it read may not have been synced by the process that
    /// wrote it, so it is synced before anything is built on it.
    status open() {
        const std::lock_guard lock{state_};
        reset();
        std::vector<bytes> records;
        if (const auto loaded = index_.load(records); loaded != status::ok) return loaded;
        for (const auto& record : records) {
            if (!apply_record(record, values_, next_id_)) return status::damaged;
        }
        for (auto& [id, v] : values_) {
            std::uint64_t blocks = 0;
            for (const auto& piece : v.pieces) {
                if (!space_.claim(piece)) return status::damaged;
                blocks += piece.count;
            }
            if (blocks != blocks_of(v.size) || !names_.emplace(v.key, id).second) return status::damaged;
            v.generation = ++generation_;
        }
        return device_->sync() ? status::ok : status::device_failed;
    }

    /// Adds bytes to a value's end, or begins one. Atomic; durable after the next sync.
    status append(std::string_view key, std::span<const std::byte> more) {
        const std::lock_guard lock{state_};
        if (ended_) return status::read_only;
        const auto name = names_.find(key);
        if (name == names_.end()) return create(key, more);
        auto& v = values_.at(name->second);

        // A part of a block at the end is written again, together with what is new, in a fresh place.
        const auto kept = static_cast<std::size_t>(v.size % payload_bytes);
        bytes      content(kept);
        if (kept > 0) {
            bytes last(block_bytes);
            if (!device_->read(v.pieces.back().end() - 1, last)) return status::device_failed;
            if (!is_block(last, name->second, v.size / payload_bytes)) return status::damaged;
            std::copy_n(last.begin(), kept, content.begin());
        }
        content.insert(content.end(), more.begin(), more.end());
        std::vector<run> fresh;
        if (const auto wrote = write(name->second, v.size / payload_bytes, content, fresh); wrote != status::ok)
            return wrote;
        if (kept > 0) {
            space_.retire({v.pieces.back().end() - 1, 1});
            if (--v.pieces.back().count == 0) v.pieces.pop_back();
        }
        for (const auto& piece : fresh) add_piece(v.pieces, piece);
        v.size += more.size();
        v.generation = ++generation_;
        changed_.insert(name->second);
        return status::ok;
    }

    /// A new value in place of whatever the key had. Atomic; durable after the next sync.
    status put(std::string_view key, std::span<const std::byte> content) {
        const std::lock_guard lock{state_};
        if (ended_) return status::read_only;
        const auto name = names_.find(key);
        const auto old  = name == names_.end() ? 0 : name->second;
        if (const auto made = create(key, content); made != status::ok) return made;
        if (old != 0) forget(old);
        return status::ok;
    }

    status erase(std::string_view key) {
        const std::lock_guard lock{state_};
        if (ended_) return status::read_only;
        const auto name = names_.find(key);
        if (name == names_.end()) return status::not_found;
        forget(name->second);
        names_.erase(name);
        return status::ok;
    }

    /// The value as it stood at one moment, proved block by block. One transfer for each piece.
    status get(std::string_view key, bytes& content) {
        std::unique_lock lock{state_};
        const auto       name = names_.find(key);
        if (name == names_.end()) return status::not_found;
        const auto id     = name->second;
        const auto size   = values_.at(id).size;
        const auto pieces = values_.at(id).pieces;
        for (const auto& piece : pieces) space_.hold(piece);
        lock.unlock();
        const auto read = read_pieces(id, pieces, content);
        lock.lock();
        for (const auto& piece : pieces) space_.unhold(piece);
        content.resize(static_cast<std::size_t>(size));
        return read;
    }

    /// Makes everything before it durable: first the data, then the record that names it. `full`: the index has no
    /// room; nothing is durable yet, and after some erases the sync may be tried again.
    status sync() {
        const std::lock_guard one_at_a_time{syncs_};
        std::unique_lock      lock{state_};
        if (ended_) return status::read_only;
        if (changed_.empty()) return status::ok;
        auto       record    = record_of_changes();
        const bool next_half = !index_.fits(record.size());
        if (next_half) record = record_of_everything();
        if (next_half && !index_.fits_half(record.size())) return status::full;
        changed_.clear();
        const auto retired = space_.take_retired();
        lock.unlock();  // whatever changes from here on is the next sync's

        bool done = device_->sync();
        done      = done && (next_half ? index_.begin_half(record) : index_.append(record));
        done      = done && device_->sync();

        lock.lock();
        ended_ = !done;
        if (!done) return status::device_failed;
        space_.drain(retired);
        return status::ok;
    }

    struct description {
        std::string   key;
        std::uint64_t size   = 0;
        std::size_t   pieces = 0;
    };
    [[nodiscard]] std::vector<description> list() {
        const std::lock_guard    lock{state_};
        std::vector<description> all;
        for (const auto& [key, id] : names_) all.push_back({key, values_.at(id).size, values_.at(id).pieces.size()});
        return all;
    }
    [[nodiscard]] std::uint64_t free_blocks() {
        const std::lock_guard lock{state_};
        return space_.free_blocks();
    }

  private:
    template <class>
    friend class movable_log;

    void reset() {
        space_  = free_space{{index_.blocks(), device_->blocks() - index_.blocks()}};
        values_ = {};
        names_.clear();
        changed_.clear();
        next_id_ = 1;
        ended_   = false;
    }

    status create(std::string_view key, std::span<const std::byte> content) {
        value v{.key = std::string{key}, .size = content.size(), .generation = ++generation_};
        if (const auto wrote = write(next_id_, 0, content, v.pieces); wrote != status::ok) return wrote;
        names_.insert_or_assign(v.key, next_id_);
        values_.emplace(next_id_, std::move(v));
        changed_.insert(next_id_++);
        return status::ok;
    }

    void forget(std::uint64_t id) {
        for (const auto& piece : values_.at(id).pieces) space_.retire(piece);
        values_.erase(id);
        changed_.insert(id);
    }

    /// Writes the content to free blocks, as the value's blocks from `number` on. After an error no block is taken.
    status write(std::uint64_t id, std::uint64_t number, std::span<const std::byte> content, std::vector<run>& pieces) {
        for (auto left = blocks_of(content.size()); left > 0;) {
            const auto taken = space_.take_next(left);
            bytes      image(taken ? taken->count * block_bytes : 0);
            for (std::size_t at = 0; at < image.size(); at += block_bytes) {
                const auto part = content.first(std::min(content.size(), payload_bytes));
                std::copy(part.begin(), part.end(), image.begin() + static_cast<std::ptrdiff_t>(at));
                seal_block(std::span{image}.subspan(at, block_bytes), id, number++);
                content = content.subspan(part.size());
            }
            if (taken) add_piece(pieces, *taken);
            if (taken && device_->write(taken->first, image)) {
                left -= taken->count;
                continue;
            }
            for (const auto& piece : pieces) space_.release(piece);
            return taken ? status::device_failed : status::full;
        }
        return status::ok;
    }

    static bool is_block(std::span<const std::byte> block, std::uint64_t id, std::uint64_t number) noexcept {
        const auto tail = proven_tail(block);
        return tail && tail->id == id && tail->number == number;
    }

    status read_pieces(std::uint64_t id, const std::vector<run>& pieces, bytes& content) {
        std::uint64_t number = 0;
        content.clear();
        for (const auto& piece : pieces) {
            bytes image(piece.count * block_bytes);
            if (!device_->read(piece.first, image)) return status::device_failed;
            for (std::size_t at = 0; at < image.size(); at += block_bytes) {
                const auto block = std::span<const std::byte>{image}.subspan(at, block_bytes);
                if (!is_block(block, id, number++)) return status::damaged;
                content.insert(content.end(), block.begin(), block.begin() + payload_bytes);
            }
        }
        return status::ok;
    }

    [[nodiscard]] bytes record_of_changes() const {
        bytes record;
        put_word(record, next_id_);
        for (const auto id : changed_) {
            const auto v = values_.find(id);
            put_entry(record, id, v == values_.end() ? nullptr : &v->second);
        }
        return record;
    }
    [[nodiscard]] bytes record_of_everything() const {
        bytes record;
        put_word(record, next_id_);
        for (const auto& [id, v] : values_) put_entry(record, id, &v);
        return record;
    }

    Device*           device_;
    std::mutex        syncs_;  ///< One sync at a time; taken before `state_`.
    std::mutex        state_;  ///< Guards all that follows; the index is touched only in a sync, or before any.
    index_log<Device> index_;
    free_space        space_;
    value_map         values_;
    std::map<std::string, std::uint64_t, std::less<>> names_;
    std::set<std::uint64_t>                           changed_;  ///< Since the last record.
    std::uint64_t                                     next_id_    = 1;
    std::uint64_t                                     generation_ = 0;
    bool                                              ended_      = false;
};

}  // namespace own_engine
