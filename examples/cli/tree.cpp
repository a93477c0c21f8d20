#include "tree.hpp"

#include <unordered_set>

namespace cli {
namespace {

failure damaged_tree(const volume& on, const char* what) {
    return {exit_code::corrupt, what, on.path(), "run 'ashlar verify'; restore the volume from its source"};
}

result<std::vector<std::byte>> read_whole(volume& from, ashlar::object_id id, std::uint64_t bytes) {
    std::vector<std::byte> whole(bytes);
    BOOST_OUTCOME_TRY(const auto got, from.read(id, 0, whole));
    if (got != whole.size()) return damaged_tree(from, "the catalogue is shorter than the root object says");
    return whole;
}

result<std::optional<tree_record>> load_record(volume& on) {
    BOOST_OUTCOME_TRY(const auto size, on.size(on.root()));
    if (size == 0) return std::optional<tree_record>{};
    std::array<std::byte, sizeof(tree_record)> bytes{};
    BOOST_OUTCOME_TRY(const auto got, on.read(on.root(), 0, bytes));
    const auto record = ashlar::load_struct<tree_record>(bytes);
    if (got < sizeof record.magic || record.magic != tree_magic) {
        return failure{exit_code::failed, "the root object holds something of another program, not a catalogue",
                       on.path(), "use a volume of this program for import and export"};
    }
    if (got != bytes.size() || !is_sound(record)) return damaged_tree(on, "the record of the imported tree is damaged");
    return std::optional<tree_record>{record};
}

}  // namespace

result<stored_tree> load_tree(volume& on) {
    BOOST_OUTCOME_TRY(on.expect_finished());
    BOOST_OUTCOME_TRY(const auto record, load_record(on));
    if (!record) return stored_tree{};

    stored_tree tree;
    tree.object  = {record->object};
    tree.imports = record->imports;
    BOOST_OUTCOME_TRY(const auto size, on.size(tree.object));
    if (size != record->bytes) return damaged_tree(on, "the catalogue has another size than the root object says");
    BOOST_OUTCOME_TRY(const auto held, on.object(tree.object));
    const auto facts = on.facts();
    if (!can_hold_catalogue(held.blocks, facts.blocks, facts.block_bytes, size))
        return damaged_tree(on, "the catalogue claims more bytes than it has");
    BOOST_OUTCOME_TRY(const auto bytes, read_whole(on, tree.object, size));
    auto entries = decode_catalogue(bytes);
    if (!entries) return damaged_tree(on, "the catalogue of the imported tree is damaged");
    for (const auto& entry : *entries) {
        if (entry.object && (entry.object == on.root() || entry.object == tree.object)) {
            return damaged_tree(on, "the catalogue names itself as a file");
        }
    }
    tree.entries = std::move(*entries);
    return tree;
}

result<> replace_tree(volume& on, const stored_tree& old, const catalogue& entries) {
    const auto bytes = encode_catalogue(entries);
    BOOST_OUTCOME_TRY(const auto object, on.create(object_tag::index));
    BOOST_OUTCOME_TRY(on.write(object, 0, bytes));
    BOOST_OUTCOME_TRY(on.sync());

    tree_record record;
    record.magic    = tree_magic;
    record.version  = 1;
    record.imports  = old.imports + 1;
    record.object   = object.value;
    record.bytes    = bytes.size();
    record.checksum = checksum_of(record);
    BOOST_OUTCOME_TRY(on.write(on.root(), 0, std::as_bytes(std::span{&record, 1})));
    BOOST_OUTCOME_TRY(on.sync());
    if (old.object) { BOOST_OUTCOME_TRY(on.erase(old.object)); }
    return success();
}

result<std::uint64_t> erase_leftovers(volume& on, const stored_tree& tree) {
    std::unordered_set<std::uint64_t> named{tree.object.value};
    for (const auto& entry : tree.entries) named.insert(entry.object.value);

    std::uint64_t     erased = 0;
    ashlar::object_id last{};
    for (;;) {
        BOOST_OUTCOME_TRY(const auto next, on.next_object(last));
        if (!next) break;
        last = *next;
        if (last == on.root() || named.contains(last.value)) continue;
        BOOST_OUTCOME_TRY(const auto facts, on.object(last));
        if (facts.tag != object_tag::file && facts.tag != object_tag::index && facts.tag != object_tag::filler)
            continue;
        BOOST_OUTCOME_TRY(on.erase(last));
        ++erased;
    }
    if (erased > 0) { BOOST_OUTCOME_TRY(on.sync()); }
    return erased;
}

}  // namespace cli
