#pragma once
/// What a part of the program prints, kept instead of shown.

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>

namespace ashlar::fuzz {

/// While it lives, stdout, stderr and their streams of C++ go to memory. What writes to the descriptors, as sanitizers
/// do, is not caught.
class captured_output {
  public:
    captured_output()
        : out_{std::exchange(stdout, open_memstream(&out_text_, &out_size_))},
          error_{std::exchange(stderr, open_memstream(&error_text_, &error_size_))},
          cout_{std::cout.rdbuf(streams_.rdbuf())},
          cerr_{std::cerr.rdbuf(streams_.rdbuf())} {}
    captured_output(const captured_output&)            = delete;
    captured_output& operator=(const captured_output&) = delete;
    ~captured_output() {
        std::fclose(std::exchange(stdout, out_));
        std::fclose(std::exchange(stderr, error_));
        std::cout.rdbuf(cout_);
        std::cerr.rdbuf(cerr_);
        std::free(out_text_);
        std::free(error_text_);
    }

    [[nodiscard]] std::string out() const {
        std::fflush(stdout);
        return {out_text_, out_size_};
    }
    [[nodiscard]] std::string error() const {
        std::fflush(stderr);
        return {error_text_, error_size_};
    }
    [[nodiscard]] std::string streams() const { return streams_.str(); }

  private:
    char*              out_text_   = nullptr;
    char*              error_text_ = nullptr;
    std::size_t        out_size_   = 0;
    std::size_t        error_size_ = 0;
    std::ostringstream streams_{};
    std::FILE*         out_;
    std::FILE*         error_;
    std::streambuf*    cout_;
    std::streambuf*    cerr_;
};

}  // namespace ashlar::fuzz
