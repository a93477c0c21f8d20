#pragma once
/// What durable commits are compared with: SQLite, LMDB and RocksDB, each told to sync every commit. 16384 values of
/// 4 KiB, overwritten in a random order; all else as the library's defaults, save compression, which random bytes would
/// only slow down.

#include "measure.hpp"

#include <lmdb.h>
#include <rocksdb/db.h>
#include <rocksdb/version.h>
#include <sqlite3.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace bench {

inline constexpr std::uint64_t values      = 16384;
inline constexpr std::size_t   value_bytes = 4096;

/// 4 KiB that differ from write to write.
class changing_value {
  public:
    explicit changing_value(random_numbers& random) {
        for (auto& word : words_) word = random.next();
    }
    void change() noexcept { ++words_[0]; }

    [[nodiscard]] const void* data() const noexcept { return words_; }
    [[nodiscard]] void*       data() noexcept { return words_; }

  private:
    alignas(4096) std::uint64_t words_[value_bytes / 8];
};

/// Commits per second of several threads that do the same: `commit(thread, random, value)` answers whether one
/// succeeded. 0 where one did not.
template <class Commit>
double rate_of_threads(unsigned threads, double seconds, Commit&& commit) {
    std::atomic<std::uint64_t> done{0};
    std::atomic<bool>          failed{false};
    std::vector<std::thread>   all;
    const stopwatch            clock;
    for (unsigned thread = 0; thread < threads; ++thread) {
        all.emplace_back([&, thread] {
            static std::atomic<std::uint64_t> seeds{1};
            random_numbers                    random{seeds.fetch_add(1)};
            changing_value                    value{random};
            std::uint64_t                     mine = 0;
            while (clock.seconds() < seconds && !failed.load(std::memory_order_relaxed)) {
                value.change();
                if (!commit(thread, random, value)) failed = true;
                ++mine;
            }
            done += mine;
        });
    }
    for (auto& thread : all) thread.join();
    return failed ? 0 : static_cast<double>(done.load()) / clock.seconds();
}

/// SQLite in WAL mode with synchronous=FULL: one UPDATE is one transaction, a connection per thread. Its writers
/// exclude each other; a mutex lets them take turns, because waiting in SQLite's busy handler, which sleeps, is far
/// slower.
class sqlite_peer {
  public:
    static constexpr unsigned connections_max = 32;

    explicit sqlite_peer(const std::string& folder) {
        std::filesystem::create_directories(folder);
        const auto path = folder + "/peer.sqlite";
        for (auto& one : connections_) {
            if (!open(path, one)) return;
        }
        ready_ = true;
    }
    sqlite_peer(const sqlite_peer&)            = delete;
    sqlite_peer& operator=(const sqlite_peer&) = delete;
    ~sqlite_peer() {
        for (auto& one : connections_) {
            sqlite3_finalize(one.update);
            sqlite3_close(one.database);
        }
    }

    double rate(unsigned threads, double seconds) {
        if (!ready_) return 0;
        return rate_of_threads(threads, seconds, [&](unsigned thread, random_numbers& random, changing_value& value) {
            const std::lock_guard turn{turn_};
            auto&                 one = connections_[thread];
            sqlite3_bind_blob(one.update, 1, value.data(), value_bytes, SQLITE_STATIC);
            sqlite3_bind_int64(one.update, 2, static_cast<sqlite3_int64>(random.below(values)));
            const int said = sqlite3_step(one.update);
            sqlite3_reset(one.update);
            if (said != SQLITE_DONE) std::fprintf(stderr, "sqlite: %s\n", sqlite3_errmsg(one.database));
            return said == SQLITE_DONE;
        });
    }

  private:
    struct connection {
        sqlite3*      database = nullptr;
        sqlite3_stmt* update   = nullptr;
    };

    static bool say(sqlite3* database, const char* words) {
        char* why = nullptr;
        if (sqlite3_exec(database, words, nullptr, nullptr, &why) == SQLITE_OK) return true;
        std::fprintf(stderr, "sqlite: %s: %s\n", words, why != nullptr ? why : "");
        sqlite3_free(why);
        return false;
    }

    bool open(const std::string& path, connection& one) {
        if (sqlite3_open(path.c_str(), &one.database) != SQLITE_OK) return false;
        sqlite3_busy_timeout(one.database, 60'000);
        if (!say(one.database,
                 "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                 "CREATE TABLE IF NOT EXISTS blobs (id INTEGER PRIMARY KEY, data BLOB NOT NULL)")) {
            return false;
        }
        if (&one == &connections_[0] && !fill(one.database)) return false;
        return sqlite3_prepare_v2(one.database, "UPDATE blobs SET data = ?1 WHERE id = ?2", -1, &one.update, nullptr) ==
               SQLITE_OK;
    }

    static bool fill(sqlite3* database) {
        return say(database,
                   "BEGIN; WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 16383)"
                   "INSERT INTO blobs SELECT i, randomblob(4096) FROM n; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
    }

    std::mutex turn_;
    connection connections_[connections_max];
    bool       ready_ = false;
};

/// LMDB, whose writers exclude each other: a put is one transaction.
class lmdb_peer {
  public:
    explicit lmdb_peer(const std::string& folder) {
        std::filesystem::create_directories(folder);
        if (mdb_env_create(&environment_) != 0) return;
        mdb_env_set_mapsize(environment_, std::size_t{1} << 30U);
        if (mdb_env_open(environment_, folder.c_str(), 0, 0644) != 0) return;
        MDB_txn* filling = nullptr;
        if (mdb_txn_begin(environment_, nullptr, 0, &filling) != 0) return;
        ready_ = mdb_dbi_open(filling, nullptr, MDB_INTEGERKEY, &table_) == 0;
        random_numbers random{1};
        changing_value value{random};
        for (std::uint64_t key = 0; ready_ && key < values; ++key) ready_ = put(filling, key, value);
        ready_ = mdb_txn_commit(filling) == 0 && ready_;
    }
    lmdb_peer(const lmdb_peer&)            = delete;
    lmdb_peer& operator=(const lmdb_peer&) = delete;
    ~lmdb_peer() {
        if (environment_ != nullptr) mdb_env_close(environment_);
    }

    double rate(unsigned threads, double seconds) {
        if (!ready_) return 0;
        return rate_of_threads(threads, seconds, [&](unsigned, random_numbers& random, changing_value& value) {
            MDB_txn* one = nullptr;
            return mdb_txn_begin(environment_, nullptr, 0, &one) == 0 && put(one, random.below(values), value) &&
                   mdb_txn_commit(one) == 0;
        });
    }

  private:
    bool put(MDB_txn* in, std::uint64_t key, const changing_value& value) {
        MDB_val name{sizeof key, &key};
        MDB_val data{value_bytes, const_cast<void*>(value.data())};
        return mdb_put(in, table_, &name, &data, 0) == 0;
    }

    MDB_env* environment_ = nullptr;
    MDB_dbi  table_       = 0;
    bool     ready_       = false;
};

/// RocksDB with WriteOptions.sync.
class rocksdb_peer {
  public:
    explicit rocksdb_peer(const std::string& folder) {
        rocksdb::Options options;
        options.create_if_missing = true;
        options.compression       = rocksdb::kNoCompression;
        rocksdb::DB* opened       = nullptr;
        const auto   said         = rocksdb::DB::Open(options, folder, &opened);
        if (!said.ok()) {
            std::fprintf(stderr, "rocksdb: %s\n", said.ToString().c_str());
            return;
        }
        database_.reset(opened);
    }

    double rate(unsigned threads, double seconds) {
        if (!database_) return 0;
        rocksdb::WriteOptions durable;
        durable.sync = true;
        return rate_of_threads(threads, seconds, [&](unsigned, random_numbers& random, changing_value& value) {
            const std::uint64_t  key = random.below(values);
            const rocksdb::Slice name{reinterpret_cast<const char*>(&key), sizeof key};
            return database_->Put(durable, name, {static_cast<const char*>(value.data()), value_bytes}).ok();
        });
    }

    /// Its compactions go on after the commits; what is measured next must not share the disk with them.
    void rest() {
        for (int tries = 0; database_ && tries < 1000; ++tries) {
            std::uint64_t flushes = 0, compactions = 0, pending = 0;
            database_->GetIntProperty("rocksdb.num-running-flushes", &flushes);
            database_->GetIntProperty("rocksdb.num-running-compactions", &compactions);
            database_->GetIntProperty("rocksdb.compaction-pending", &pending);
            if (flushes + compactions + pending == 0) return;
            std::this_thread::sleep_for(std::chrono::milliseconds{10});
        }
    }

  private:
    std::unique_ptr<rocksdb::DB> database_;
};

}  // namespace bench
