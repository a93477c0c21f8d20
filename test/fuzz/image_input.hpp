#pragma once
/// The form of an input that is an image: a base image and changes of it, or the image itself.

#include "engine.hpp"
#include "input.hpp"

namespace ashlar::fuzz {

/// What a change is made to. The numbers stand in inputs.
enum class place_kind : std::uint8_t {
    superblock  = 0,
    pointers    = 1,
    anchor      = 2,
    directory   = 3,
    group_table = 4,
    bitmap      = 5,
    trimmed     = 6,
    checksums   = 7,
    objects     = 8,   ///< Block of the object table.
    node        = 9,   ///< The n-th tree node of the image.
    ring        = 10,  ///< Block of the ring.
    any         = 11,  ///< Block of the volume.
    swapped     = 12,  ///< Two blocks change places: those that `index` and `offset` count.
    zeroed      = 13,  ///< A block of the volume becomes zeros.
    raw_count   = 14,  ///< How many there are.
};

/// Bits of a change's second byte; the low four are the number of its bytes, less one.
namespace change_flag {
inline constexpr unsigned unsealed    = 0x10;  ///< The checksums stay wrong.
inline constexpr unsigned first_only  = 0x20;  ///< Only the first copy of a frame.
inline constexpr unsigned second_only = 0x40;  ///< Only the second.
}  // namespace change_flag

/// An input, made into an image. The form: the number of a base image (1), the number of changes (1), the changes:
///
///   offset  size  field
///        0     1  kind    place_kind
///        1     1  flags   change_flag, and the number of bytes less one
///        2     2  index   which of its kind
///        4     2  offset  where in it the bytes begin
///        6     n  bytes
///
/// then whatever else the target reads. An input that begins as a superblock does is a whole image; one that begins
/// with FF is too, behind a byte that says the logarithm of the block size.
class image_input {
  public:
    /// `slot` names one of two images that are in use at the same time.
    explicit image_input(bytes_in input, unsigned slot = 0);

    [[nodiscard]] image&            on() noexcept { return *image_; }
    [[nodiscard]] input_reader&     rest() noexcept { return reader_; }
    [[nodiscard]] const base_image* base() const noexcept { return base_; }  ///< Null: a whole image.
    [[nodiscard]] bool              changed() const noexcept { return changed_; }

  private:
    void take_whole(bytes_in bytes, unsigned shift);
    void apply_changes();
    void apply(place_kind kind, unsigned flags, std::uint16_t index, std::uint16_t offset, bytes_in bytes);
    void change_frame(std::uint64_t number, unsigned flags, std::uint16_t offset, bytes_in bytes);
    void change_block(block_index block, unsigned flags, std::uint16_t offset, bytes_in bytes);
    [[nodiscard]] block_index block_for(place_kind kind, std::uint16_t index);

    input_reader      reader_;
    image             own_{};
    image*            image_   = nullptr;
    const base_image* base_    = nullptr;
    bool              changed_ = false;
    bool              ring_    = false;  ///< The journal changed, and is to be sealed.
};

/// A change for the seeds.
input_writer& add_change(input_writer& to, place_kind kind, unsigned flags, unsigned index, unsigned offset,
                         bytes_in bytes);

/// Seeds that every target of images takes: each base alone, and typical lies, followed by `rest`.
std::vector<seed_input> image_seeds(bytes_in rest);

/// For inputs that are whole images; leaves the others alone.
void repair_whole_image(std::span<std::byte> input);

}  // namespace ashlar::fuzz
