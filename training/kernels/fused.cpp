// Kernels of training on CPUs with AVX-512 BF16: batch normalisation with its activation, and
// depthwise convolution, forwards and backwards, in one pass over memory each.
//
// Maps are bfloat16, channels last, with a multiple of 16 channels: a vector holds 16 channels of
// one pixel. Everything is computed in float32, sums over pixels in float64.
//
// g++ -O3 -march=native -mprefer-vector-width=512 -fno-math-errno -fno-trapping-math -fopenmp
//     -shared -fPIC

#include <immintrin.h>
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

using bfloat16 = uint16_t;
typedef float Lanes __attribute__((vector_size(64), aligned(4)));

constexpr int WIDTH = 16;            // channels in a vector
constexpr int64_t PIXELS = 512;      // that are summed up before the sum goes to float64

inline Lanes load(const float* from) { return *reinterpret_cast<const Lanes*>(from); }
inline void store(float* to, Lanes value) { *reinterpret_cast<Lanes*>(to) = value; }

inline Lanes load(const bfloat16* from) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return (Lanes)_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16);
}
inline void store(bfloat16* to, Lanes value) {
    const __m256i half = (__m256i)_mm512_cvtneps_pbh((__m512)value);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), half);
}

inline float to_float(bfloat16 value) {
    const uint32_t bits = static_cast<uint32_t>(value) << 16;
    float result;
    std::memcpy(&result, &bits, sizeof result);
    return result;
}

// GCC's operator?: on vectors wants both sides as vectors.
inline Lanes all(float value) { return value - Lanes{}; }
inline Lanes above(Lanes a, Lanes b) { return a > b ? a : b; }
inline Lanes below(Lanes a, Lanes b) { return a < b ? a : b; }

struct Pair {
    Lanes first, second;
};

enum Activation { NONE = 0, RELU = 1, HARDSWISH = 2, RELU6 = 3 };

template <int A>
inline Lanes activate(Lanes z) {
    if constexpr (A == RELU) return above(z, all(0));
    if constexpr (A == RELU6) return below(above(z, all(0)), all(6));
    if constexpr (A == HARDSWISH) return z * below(above(z + 3.0f, all(0)), all(6)) * (1.0f / 6.0f);
    return z;
}

// The gradient of what goes into the activation.
template <int A>
inline Lanes derive(Lanes z, Lanes gradient) {
    const Lanes zero{};
    if constexpr (A == RELU) return z > 0.0f ? gradient : zero;
    if constexpr (A == RELU6) {
        const Lanes positive = z > 0.0f ? gradient : zero;
        return z < 6.0f ? positive : zero;
    }
    if constexpr (A == HARDSWISH) {
        Lanes slope = (2.0f * z + 3.0f) * (1.0f / 6.0f);
        slope = z >= 3.0f ? all(1) : slope;
        slope = z <= -3.0f ? zero : slope;
        return gradient * slope;
    }
    return gradient;
}

// --- batch normalisation and activation: out = activation(x * scale + shift) ---

template <int A>
void normalise(const bfloat16* x, bfloat16* out, int64_t pixels, int64_t channels,
               const float* scale, const float* shift) {
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < pixels; p++)
        for (int64_t c = 0; c < channels; c += WIDTH) {
            const int64_t at = p * channels + c;
            store(out + at, activate<A>(load(x + at) * load(scale + c) + load(shift + c)));
        }
}

// Adds up two values of each pixel, per channel, into sums[0..channels) and
// sums[channels..2 * channels). `values_of(c)` gives the function of the pixel's index that gives
// the two, for the channels from c on.
template <typename ValuesOf>
void sum_pixels(int64_t pixels, int64_t channels, double* sums, ValuesOf values_of) {
    const int64_t chunks = (pixels + PIXELS - 1) / PIXELS;
#pragma omp parallel
    {
        std::vector<double> mine(2 * channels, 0.0);
#pragma omp for schedule(static)
        for (int64_t k = 0; k < chunks; k++) {
            const int64_t start = k * PIXELS, stop = std::min(pixels, start + PIXELS);
            for (int64_t c = 0; c < channels; c += WIDTH) {
                const auto values = values_of(c);
                Lanes first[2] = {}, second[2] = {};  // two chains hide the adder's latency
                const auto add = [&](int64_t p, int chain) {
                    const Pair pair = values(p);
                    first[chain] += pair.first;
                    second[chain] += pair.second;
                };
                int64_t p = start;
                for (; p + 1 < stop; p += 2) add(p, 0), add(p + 1, 1);
                if (p < stop) add(p, 0);
                for (int lane = 0; lane < WIDTH; lane++) {
                    mine[c + lane] += first[0][lane] + first[1][lane];
                    mine[channels + c + lane] += second[0][lane] + second[1][lane];
                }
            }
        }
#pragma omp critical
        for (int64_t c = 0; c < 2 * channels; c++) sums[c] += mine[c];
    }
}

// Sums of the gradient behind the activation, and of that gradient times (x - mean).
template <int A>
void sum_gradients(const bfloat16* x, const bfloat16* gradient, int64_t pixels, int64_t channels,
                   const float* scale, const float* shift, const float* mean, double* sums) {
    sum_pixels(pixels, channels, sums, [=](int64_t c) {
        const Lanes a = load(scale + c), b = load(shift + c), m = load(mean + c);
        return [=](int64_t p) {
            const Lanes value = load(x + p * channels + c);
            const Lanes g = derive<A>(value * a + b, load(gradient + p * channels + c));
            return Pair{g, g * (value - m)};
        };
    });
}

// The gradient of x: scale * (gradient behind the activation) + constant + slope * x.
template <int A>
void spread_gradients(const bfloat16* x, const bfloat16* gradient, bfloat16* out, int64_t pixels,
                      int64_t channels, const float* scale, const float* shift,
                      const float* constant, const float* slope) {
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < pixels; p++)
        for (int64_t c = 0; c < channels; c += WIDTH) {
            const int64_t at = p * channels + c;
            const Lanes value = load(x + at), a = load(scale + c);
            const Lanes g = derive<A>(value * a + load(shift + c), load(gradient + at));
            store(out + at, a * g + load(constant + c) + load(slope + c) * value);
        }
}

// --- depthwise convolution ---

struct Shape {
    int count, height, width, channels;  // of the map that goes in
    int out_height, out_width;
    int before;  // zeros before the first row and column; as many as needed behind the last
};

// 16 channels of a map as float32, in a frame of zeros.
inline void take_channels(const bfloat16* map, float* padded, int height, int width, int channels,
                          int before, int padded_height, int padded_width) {
    std::memset(padded, 0, sizeof(float) * WIDTH * padded_height * padded_width);
    for (int h = 0; h < height; h++)
        for (int w = 0; w < width; w++)
            store(padded + ((h + before) * padded_width + w + before) * WIDTH,
                  load(map + (static_cast<int64_t>(h) * width + w) * channels));
}

template <int K, int S>
inline int padded_length(int length, int out, int before) {
    return std::max((out - 1) * S + K, length + before);
}

// One output: K x K values, `row` vectors apart, times the taps; backwards through the taps for a
// convolution with the kernel turned around.
template <int K, bool TURNED>
inline Lanes correlate(const float* values, int row, const Lanes* taps) {
    Lanes even{}, odd{};
#pragma GCC unroll 5
    for (int i = 0; i < K; i++)
#pragma GCC unroll 5
        for (int j = 0; j < K; j++) {
            const int tap = TURNED ? K * K - 1 - (i * K + j) : i * K + j;
            const Lanes product = load(values + (i * row + j) * WIDTH) * taps[tap];
            if ((i + j) & 1)
                odd += product;
            else
                even += product;
        }
    return even + odd;
}

template <int K, int S>
void depthwise(const bfloat16* x, const float* kernel, bfloat16* y, const Shape& s) {
    const int height = padded_length<K, S>(s.height, s.out_height, s.before);
    const int width = padded_length<K, S>(s.width, s.out_width, s.before);
    const int64_t in_map = static_cast<int64_t>(s.height) * s.width * s.channels;
    const int64_t out_map = static_cast<int64_t>(s.out_height) * s.out_width * s.channels;
#pragma omp parallel
    {
        std::vector<float> padded(static_cast<size_t>(height) * width * WIDTH);
#pragma omp for schedule(static)
        for (int n = 0; n < s.count; n++)
            for (int c = 0; c < s.channels; c += WIDTH) {
                take_channels(x + n * in_map + c, padded.data(), s.height, s.width, s.channels,
                              s.before, height, width);
                Lanes taps[K * K];
                for (int i = 0; i < K * K; i++) taps[i] = load(kernel + i * s.channels + c);
                bfloat16* out = y + n * out_map + c;
                for (int h = 0; h < s.out_height; h++)
                    for (int w = 0; w < s.out_width; w++) {
                        const float* values = padded.data() + (h * S * width + w * S) * WIDTH;
                        store(out + (static_cast<int64_t>(h) * s.out_width + w) * s.channels,
                              correlate<K, false>(values, width, taps));
                    }
            }
    }
}

// Gradients of the taps: a row of the kernel at a time, so that its sums stay in registers.
template <int K, int S>
inline void gradient_of_taps(const float* padded, int padded_width, const bfloat16* gradient,
                             const Shape& s, float* taps) {
    for (int i = 0; i < K; i++) {
        Lanes sums[2][K] = {};
        for (int h = 0; h < s.out_height; h++) {
            const float* values = padded + (h * S + i) * padded_width * WIDTH;
            const bfloat16* row = gradient + static_cast<int64_t>(h) * s.out_width * s.channels;
            int w = 0;
            for (; w + 1 < s.out_width; w += 2) {
                const Lanes first = load(row + static_cast<int64_t>(w) * s.channels);
                const Lanes second = load(row + static_cast<int64_t>(w + 1) * s.channels);
#pragma GCC unroll 5
                for (int j = 0; j < K; j++) {
                    sums[0][j] += first * load(values + (w * S + j) * WIDTH);
                    sums[1][j] += second * load(values + ((w + 1) * S + j) * WIDTH);
                }
            }
            if (w < s.out_width) {
                const Lanes last = load(row + static_cast<int64_t>(w) * s.channels);
#pragma GCC unroll 5
                for (int j = 0; j < K; j++) sums[0][j] += last * load(values + (w * S + j) * WIDTH);
            }
        }
        for (int j = 0; j < K; j++) {
            float* tap = taps + (i * K + j) * s.channels;
            store(tap, load(tap) + sums[0][j] + sums[1][j]);
        }
    }
}

// Gradients of the map. With stride 1 it is gathered, the kernel turned around; else scattered.
template <int K, int S>
inline void gradient_of_map(const bfloat16* gradient, const Lanes* taps, const Shape& s,
                            float* padded, int height, int width, bfloat16* out) {
    if constexpr (S == 1) {
        take_channels(gradient, padded, s.out_height, s.out_width, s.channels, K - 1 - s.before,
                      height, width);
        for (int h = 0; h < s.height; h++)
            for (int w = 0; w < s.width; w++)
                store(out + (static_cast<int64_t>(h) * s.width + w) * s.channels,
                      correlate<K, true>(padded + (h * width + w) * WIDTH, width, taps));
        return;
    }
    std::memset(padded, 0, sizeof(float) * WIDTH * height * width);
    for (int h = 0; h < s.out_height; h++)
        for (int w = 0; w < s.out_width; w++) {
            const int64_t at = (static_cast<int64_t>(h) * s.out_width + w) * s.channels;
            const Lanes g = load(gradient + at);
            float* values = padded + (h * S * width + w * S) * WIDTH;
#pragma GCC unroll 5
            for (int i = 0; i < K; i++)
#pragma GCC unroll 5
                for (int j = 0; j < K; j++) {
                    float* value = values + (i * width + j) * WIDTH;
                    store(value, load(value) + g * taps[i * K + j]);
                }
        }
    for (int h = 0; h < s.height; h++)
        for (int w = 0; w < s.width; w++)
            store(out + (static_cast<int64_t>(h) * s.width + w) * s.channels,
                  load(padded + ((h + s.before) * width + w + s.before) * WIDTH));
}

template <int K, int S>
void differentiate_depthwise(const bfloat16* x, const float* kernel, const bfloat16* gradient,
                         bfloat16* map_gradient, float* kernel_gradient, const Shape& s) {
    const int height = padded_length<K, S>(s.height, s.out_height, s.before);
    const int width = padded_length<K, S>(s.width, s.out_width, s.before);
    const int64_t in_map = static_cast<int64_t>(s.height) * s.width * s.channels;
    const int64_t out_map = static_cast<int64_t>(s.out_height) * s.out_width * s.channels;
#pragma omp parallel
    {
        std::vector<float> padded(static_cast<size_t>(height) * width * WIDTH);
        std::vector<float> mine(static_cast<size_t>(K) * K * s.channels, 0.0f);
#pragma omp for schedule(static)
        for (int n = 0; n < s.count; n++)
            for (int c = 0; c < s.channels; c += WIDTH) {
                const bfloat16* g = gradient + n * out_map + c;
                take_channels(x + n * in_map + c, padded.data(), s.height, s.width, s.channels,
                              s.before, height, width);
                gradient_of_taps<K, S>(padded.data(), width, g, s, mine.data() + c);
                Lanes taps[K * K];
                for (int i = 0; i < K * K; i++) taps[i] = load(kernel + i * s.channels + c);
                gradient_of_map<K, S>(g, taps, s, padded.data(), height, width,
                                      map_gradient + n * in_map + c);
            }
#pragma omp critical
        for (size_t i = 0; i < mine.size(); i++) kernel_gradient[i] += mine[i];
    }
}

template <typename Work>
void for_activation(int activation, Work work) {
    switch (activation) {
        case RELU: return work.template operator()<RELU>();
        case HARDSWISH: return work.template operator()<HARDSWISH>();
        case RELU6: return work.template operator()<RELU6>();
        default: return work.template operator()<NONE>();
    }
}

template <typename Work>
void for_window(int kernel, int stride, Work work) {
    if (kernel == 3 && stride == 1) return work.template operator()<3, 1>();
    if (kernel == 3) return work.template operator()<3, 2>();
    if (stride == 1) return work.template operator()<5, 1>();
    work.template operator()<5, 2>();
}

}  // namespace

extern "C" {

// Mean and variance of each channel.
void statistics(const bfloat16* x, int64_t pixels, int64_t channels, float* mean, float* variance) {
    std::vector<double> sums(2 * channels, 0.0);
    sum_pixels(pixels, channels, sums.data(), [=](int64_t c) {
        const Lanes origin = load(x + c);  // against cancellation
        return [=](int64_t p) {
            const Lanes value = load(x + p * channels + c) - origin;
            return Pair{value, value * value};
        };
    });
    for (int64_t c = 0; c < channels; c++) {
        const double offset = sums[c] / pixels;
        mean[c] = static_cast<float>(offset + to_float(x[c]));
        variance[c] = static_cast<float>(
            std::max(0.0, sums[channels + c] / pixels - offset * offset));
    }
}

void normalise_forwards(const bfloat16* x, bfloat16* out, int64_t pixels, int64_t channels,
                        const float* scale, const float* shift, int activation) {
    for_activation(activation, [&]<int A>() { normalise<A>(x, out, pixels, channels, scale, shift); });
}

// `fixed`: mean and deviation are constants, and not of this batch.
void normalise_backwards(const bfloat16* x, const bfloat16* gradient, bfloat16* out, int64_t pixels,
                         int64_t channels, const float* scale, const float* shift,
                         const float* mean, const float* inverse_deviation, int activation,
                         int fixed, float* weight_gradient, float* bias_gradient) {
    std::vector<double> sums(2 * channels, 0.0);
    std::vector<float> constant(channels, 0.0f), slope(channels, 0.0f);
    for_activation(activation, [&]<int A>() {
        sum_gradients<A>(x, gradient, pixels, channels, scale, shift, mean, sums.data());
        for (int64_t c = 0; c < channels; c++) {
            const double plain = sums[c], weighted = sums[channels + c];
            const double inverse = inverse_deviation[c];
            bias_gradient[c] = static_cast<float>(plain);
            weight_gradient[c] = static_cast<float>(weighted * inverse);
            if (fixed) continue;
            const double pull = weighted / pixels * inverse * inverse;
            slope[c] = static_cast<float>(-scale[c] * pull);
            constant[c] = static_cast<float>(scale[c] * (pull * mean[c] - plain / pixels));
        }
        spread_gradients<A>(x, gradient, out, pixels, channels, scale, shift, constant.data(),
                            slope.data());
    });
}

void depthwise_forwards(const bfloat16* x, const float* kernel, bfloat16* y, int count, int height,
                        int width, int channels, int out_height, int out_width, int before,
                        int window, int stride) {
    const Shape shape{count, height, width, channels, out_height, out_width, before};
    for_window(window, stride, [&]<int K, int S>() { depthwise<K, S>(x, kernel, y, shape); });
}

// Adds to `kernel_gradient`.
void depthwise_backwards(const bfloat16* x, const float* kernel, const bfloat16* gradient,
                         bfloat16* map_gradient, float* kernel_gradient, int count, int height,
                         int width, int channels, int out_height, int out_width, int before,
                         int window, int stride) {
    const Shape shape{count, height, width, channels, out_height, out_width, before};
    for_window(window, stride, [&]<int K, int S>() {
        differentiate_depthwise<K, S>(x, kernel, gradient, map_gradient, kernel_gradient, shape);
    });
}

}  // extern "C"
