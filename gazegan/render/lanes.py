"""What compiled loops call, in C++: operations on numbers and on vectors of eight or sixteen."""

from gazegan.render.dialect import Dialect
from gazegan.render.steps import LANES

_HEAD = (
    f"""
// What the renderer's compiled loops call: numbers, and vectors of as many as LANES.
#define LANES {LANES}
"""
    r"""
#include <cmath>
#include <cstring>

// OF names the processor's own operations on as many numbers, where it has them.
#if LANES == 16 && defined __AVX512DQ__
#include <immintrin.h>
#define OF(name) _mm512_##name
typedef __m512 V;
typedef __m512i W;
#elif LANES == 8 && defined __AVX2__
#include <immintrin.h>
#define OF(name) _mm256_##name
typedef __m256 V;
typedef __m256i W;
#endif

typedef float F __attribute__((vector_size(4 * LANES)));
typedef int I __attribute__((vector_size(4 * LANES)));
typedef I B;
typedef int truth;
typedef long N;

#define PART static
#define LOOP(name) \
  static void name(const float* s, float* w, const float* const* c, float* const* o, const N* n)
#define START
#define ROWS for (N y = 0; y < rows; ++y)
#define COLUMNS for (N x = 0; x < columns; x += LANES)

#define HERE static inline __attribute__((always_inline))

template <class T> HERE T get(const float* p) { T v; std::memcpy(&v, p, sizeof v); return v; }
template <class T> HERE T load(const float* p) { T v; std::memcpy(&v, p, sizeof v); return v; }
template <class T> HERE void store(float* p, T v) { std::memcpy(p, &v, sizeof v); }
template <class T> HERE void part(float* p, T v, long left) {
  if (left >= LANES) return std::memcpy(p, &v, sizeof v), void();
#if defined OF && LANES == 16
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << left) - 1), (V)v);
#elif defined OF
  const W lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  _mm256_maskstore_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)left), lane), (V)v);
#else
  std::memcpy(p, &v, left * 4);
#endif
}
HERE F all(float v) { return F{} + v; }
HERE I all(int v) { return I{} + v; }
template <class T> HERE T gather(const float* p, I at) {
#if defined OF && LANES == 16
  return (T)_mm512_i32gather_ps((W)at, p, 4);
#elif defined OF
  return (T)_mm256_i32gather_ps(p, (W)at, 4);
#endif
  T v;
  for (int k = 0; k < LANES; ++k) std::memcpy((char*)&v + 4 * k, p + at[k], 4);
  return v;
}

// Places, number by number, and what lies there and next to it: fewer reads than of two gathers.
struct At { int k[LANES]; };
HERE At places(I at) { At a; std::memcpy(a.k, &at, sizeof a.k); return a; }
HERE void look_up_two(const float* p, const At& at, F& here, F& next) {
#ifdef OF
  const auto four = [&](int k) {
    const __m128d low = _mm_load_sd((const double*)(p + at.k[k]));
    return _mm_castpd_ps(_mm_loadh_pd(low, (const double*)(p + at.k[k + 1])));
  };
  const auto eight = [&](int k) { return _mm256_set_m128(four(k + 4), four(k)); };
#if LANES == 16
  const auto every_other = [&](int k) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(eight(k)), eight(k + 8), 1);
  };
#else
  const auto every_other = eight;
#endif
  const V even = every_other(0), odd = every_other(2);
  here = (F)OF(shuffle_ps)(even, odd, 0x88);
  next = (F)OF(shuffle_ps)(even, odd, 0xdd);
#else
  for (int k = 0; k < LANES; ++k) here[k] = p[at.k[k]], next[k] = p[at.k[k] + 1];
#endif
}

HERE bool any_(int m) { return m; }
HERE bool any_(I m) {
#if defined OF && LANES == 16
  return _mm512_test_epi32_mask((W)m, (W)m);
#elif defined OF
  return !_mm256_testz_si256((W)m, (W)m);
#else
  for (int k = 0; k < LANES; ++k) if (m[k]) return true;
  return false;
#endif
}
HERE bool any_(F m) { return any_((I)m); }

HERE int min_(int a, int b) { return a < b ? a : b; }

// Of vectors, whose truths are 0 and -1.
HERE I not_(I a) { return ~a; }
HERE F neg_(F a) { return -a; }
HERE F where_(I m, F a, F b) { return m ? a : b; }
HERE F where_(I m, float a, F b) { return m ? all(a) : b; }
HERE F where_(I m, F a, float b) { return m ? a : all(b); }
HERE F where_(I m, float a, float b) { return m ? all(a) : all(b); }
HERE F where_(int m, F a, F b) { return m ? a : b; }
HERE F where_(int m, float a, F b) { return m ? all(a) : b; }
HERE F where_(int m, F a, float b) { return m ? a : all(b); }
HERE F float_(I a) { return __builtin_convertvector(a, F); }
HERE I int_(F a) { return __builtin_convertvector(a, I); }
HERE F abs_(F a) { return (F)((I)a & 0x7fffffff); }
HERE F floor_(F a) {
#ifdef OF
  return (F)OF(floor_ps)((V)a);
#else
  F t = float_(int_(a));
  return t - (t > a ? all(1.0f) : F{});
#endif
}
HERE F inverse_(F a) {
#if defined OF && LANES == 16
  const F r = (F)_mm512_rcp14_ps((V)a);
  return r * (2.0f - a * r);
#else
  return 1.0f / a;
#endif
}
HERE F sqrt_(F a) {
#ifdef OF
  return (F)OF(sqrt_ps)((V)a);
#else
  for (int k = 0; k < LANES; ++k) a[k] = std::sqrt(a[k]);
  return a;
#endif
}
HERE F inverse_sqrt_(F a) {
#if defined OF && LANES == 16
  const F r = (F)_mm512_rsqrt14_ps((V)a);
  return r * (1.5f - 0.5f * a * r * r);
#else
  return 1.0f / sqrt_(a);
#endif
}
HERE F max_(F a, F b) {
#ifdef OF
  return (F)OF(max_ps)((V)a, (V)b);
#else
  return a > b ? a : b;
#endif
}
HERE F min_(F a, F b) {
#ifdef OF
  return (F)OF(min_ps)((V)a, (V)b);
#else
  return a < b ? a : b;
#endif
}
HERE F max_(F a, float b) { return max_(a, all(b)); }
HERE F max_(float a, F b) { return max_(all(a), b); }
HERE F min_(F a, float b) { return min_(a, all(b)); }
HERE F min_(float a, F b) { return min_(all(a), b); }
HERE I max_(I a, int b) { return a > b ? a : all(b); }
HERE I min_(I a, int b) { return a < b ? a : all(b); }

// Polynomials of Moshier's Cephes library in single precision.
HERE F exp_low_(F x) {  // 2^n 2^x, with |x| at most 1/2; least squares of the relative error
#if defined OF && LANES == 16
  const F z = x * 1.44269504088896341f;
  x = (F)_mm512_reduce_ps((V)z, 0);
  const F n = z - x;
#else
  x = max_(x, -87.0f) * 1.44269504088896341f;
  F n = floor_(x + 0.5f);
  x = x - n;
#endif
  F y = 1.321867248e-03f * x + 9.671697938e-03f;
  y = y * x + 5.550892952e-02f;
  y = y * x + 2.402223800e-01f;
  y = y * x + 6.931468559e-01f;
  y = y * x + 1.0f;
#if defined OF && LANES == 16
  return (F)_mm512_scalef_ps((V)y, (V)n);
#else
  return (F)((I)y + (int_(n) << 23));
#endif
}
HERE F exp_(F x) { return exp_low_(min_(x, 88.0f)); }
HERE F log_(F x) {
  I bits = (I)x;
  F e = float_((bits >> 23) - 126);
  F m = (F)((bits & 0x007fffff) | 0x3f000000);
  I low = m < 0.707106781186547524f;
  e = low ? e - 1.0f : e;
  m = (low ? m + m : m) - 1.0f;
  F y = 7.0376836292e-2f * m - 1.1514610310e-1f;
  y = y * m + 1.1676998740e-1f;
  y = y * m - 1.2420140846e-1f;
  y = y * m + 1.4249322787e-1f;
  y = y * m - 1.6668057665e-1f;
  y = y * m + 2.0000714765e-1f;
  y = y * m - 2.4999993993e-1f;
  y = y * m + 3.3333331174e-1f;
  F z = m * m;
  y = y * m * z - e * 2.12194440e-4f - 0.5f * z;
  return m + y + e * 0.693359375f;
}
HERE F sine(F x, int turns) {  // of x + turns * pi / 2
  F n = floor_(x * 0.636619772367581343f + 0.5f);
  I q = int_(n) + turns;
  x = x - n * 1.5703125f - n * 4.837512969970703125e-4f - n * 7.54978995489188216e-8f;
  F z = x * x;
  F s = ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * x + x;
  F c = ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * z * z
        - 0.5f * z + 1.0f;
  F y = (q & 1) != 0 ? c : s;
  return (q & 2) != 0 ? -y : y;
}
HERE F sin_(F x) { return sine(x, 0); }
HERE F cos_(F x) { return sine(x, 1); }
HERE F tan_(F x) { return sin_(x) / cos_(x); }
HERE F atan_(F x) {
  F a = abs_(x);
  I far = a > 2.414213562373095f, mid = a > 0.4142135623730950f;
  F y = far ? all(1.57079632679489661923f) : (mid ? all(0.78539816339744830962f) : F{});
  a = far ? -1.0f / a : (mid ? (a - 1.0f) / (a + 1.0f) : a);
  F z = a * a;
  y = y + (((8.05374449538e-2f * z - 1.38776856032e-1f) * z + 1.99777106478e-1f) * z
           - 3.33329491539e-1f) * z * a + a;
  return (F)((I)y ^ ((I)x & (int)0x80000000));
}
"""
)

_FOOT = """
extern "C" void render(long count, const float* p, long params, const int* q, const float* k,
                       const long* n, float* w, const float* const* c, float* const* outs,
                       const long* lengths, long kinds, const long* places) {
  float numbers_of[SHARED * LANES], *s = numbers_of, *o[8];
  for (long i = 0; i < count; i += TOGETHER, ++s) {
    if (i % (TOGETHER * LANES) == 0) {
      I eye;
      for (int j = 0; j < LANES; ++j) eye[j] = min_((int)(i + TOGETHER * j), (int)count - TOGETHER);
      numbers(p, q, eye, params, k, s = numbers_of);
    }
    for (long j = 0; j < kinds; ++j) o[j] = outs[j] + places[i] * lengths[j];
CALLS
  }
}
"""

DIALECT = Dialect(_HEAD, _FOOT)
