// What a board brings: the vector table, the way from reset to main, and a flash chip behind two registers.

#include "flash.hpp"

#include <cstddef>

extern "C" {

extern std::uint32_t data_begin, data_end, data_image, bss_begin, bss_end, stack_top;

int main();

[[noreturn]] void halt() {
    for (;;) { __asm volatile("wfi"); }
}

[[noreturn]] void reset_handler() {
    const std::uint32_t* from = &data_image;
    for (std::uint32_t* to = &data_begin; to < &data_end; ++to) *to = *from++;
    for (std::uint32_t* to = &bss_begin; to < &bss_end; ++to) *to = 0;
    static_cast<void>(main());
    halt();
}

// Newlib's memory functions and the compiler's own helpers are all that the image takes from elsewhere.
[[noreturn]] void abort() { halt(); }

[[gnu::section(".vectors"), gnu::used]] void* const vectors[2] = {&stack_top, reinterpret_cast<void*>(reset_handler)};

}  // extern "C"

namespace board {

namespace {

/// Moves words through the chip's data register; the chip counts the address up by itself.
struct flash_registers {
    volatile std::uint32_t address;
    volatile std::uint32_t command;
    volatile std::uint32_t data;
    volatile std::uint32_t status;
};

flash_registers& chip() { return *reinterpret_cast<flash_registers*>(0x4000'0000U); }

}  // namespace

bool flash_read(std::uint32_t sector, std::byte* in) noexcept {
    chip().address = sector;
    chip().command = 1;
    for (std::uint32_t i = 0; i < sector_bytes; ++i) in[i] = static_cast<std::byte>(chip().data);
    return chip().status == 0;
}

bool flash_program(std::uint32_t sector, const std::byte* out) noexcept {
    chip().address = sector;
    chip().command = 2;
    for (std::uint32_t i = 0; i < sector_bytes; ++i) chip().data = static_cast<std::uint32_t>(out[i]);
    return chip().status == 0;
}

bool flash_flush() noexcept {
    chip().command = 3;
    return chip().status == 0;
}

}  // namespace board
