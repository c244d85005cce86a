"""What compiled loops call on a GPU, in CUDA: a thread for each pixel of each eye."""

from gazegan.render.dialect import Dialect
from gazegan.render.steps import LANES

_HEAD = (
    f"""
// What the renderer's compiled loops call on a GPU. Numbers of as many eyes as LANES lie together.
#define LANES {LANES}
"""
    r"""
typedef float F;
typedef int I;
typedef bool B, truth;
typedef int N;

#define PART static __device__
#define LOOP(name) extern "C" __global__ void name( \
  const float* __restrict__ s, float* w, N room, const float* const* __restrict__ c, \
  const N* __restrict__ n, const long long* __restrict__ into, \
  float* o0, float* o1, float* o2, float* o3, N l0, N l1, N l2, N l3)
// A row of blocks for each eye, whose pixels follow one another.
#define START \
  const N eye = blockIdx.y, pixel = blockIdx.x * blockDim.x + threadIdx.x; \
  const long long to = into[eye * TOGETHER]; \
  float* const o[4] = {o0 + to * l0, o1 + to * l1, o2 + to * l2, o3 + to * l3}; \
  s += eye / LANES * (SHARED * LANES) + eye % LANES; \
  w += (long long)eye * room;
#define ROWS const N y = pixel / columns, x = pixel - y * columns; if (y < rows)
#define COLUMNS

#define HERE static __device__ __forceinline__

template <class T> HERE T get(const float* p) { T v; memcpy(&v, p, sizeof v); return v; }
template <class T> HERE T load(const float* p) { T v; memcpy(&v, p, sizeof v); return v; }
template <class T> HERE void store(float* p, T v) { memcpy(p, &v, sizeof v); }
template <class T> HERE void part(float* p, T v, N) { store(p, v); }
HERE float all(float v) { return v; }
HERE int all(int v) { return v; }
HERE bool all(bool v) { return v; }
template <class T> HERE T gather(const float* p, I at) { return get<T>(p + at); }

typedef I At;
HERE At places(I at) { return at; }
HERE void look_up_two(const float* p, At at, F& here, F& next) { here = p[at], next = p[at + 1]; }

template <class T> HERE bool any_(T m) { return m != 0; }
HERE bool not_(bool a) { return !a; }
HERE int not_(int a) { return ~a; }
HERE float neg_(float a) { return -a; }
HERE int neg_(int a) { return -a; }
template <class T> HERE T where_(bool m, T a, T b) { return m ? a : b; }
HERE float float_(int a) { return (float)a; }
HERE int int_(float a) { return (int)a; }
HERE float abs_(float a) { return fabsf(a); }
HERE float floor_(float a) { return floorf(a); }
HERE float inverse_(float a) { return 1.0f / a; }
HERE float sqrt_(float a) { return sqrtf(a); }
HERE float inverse_sqrt_(float a) { return rsqrtf(a); }
HERE float max_(float a, float b) { return fmaxf(a, b); }
HERE float min_(float a, float b) { return fminf(a, b); }
HERE int max_(int a, int b) { return a > b ? a : b; }
HERE int min_(int a, int b) { return a < b ? a : b; }
HERE float exp_low_(float a) { return expf(a); }
HERE float exp_(float a) { return expf(fminf(a, 88.0f)); }
HERE float log_(float a) { return logf(a); }
HERE float sin_(float a) { return sinf(a); }
HERE float cos_(float a) { return cosf(a); }
HERE float tan_(float a) { return tanf(a); }
HERE float atan_(float a) { return atanf(a); }
"""
)

_FOOT = """
extern "C" __global__ void shared(N count, const float* p, N params, const int* q, const float* k,
                                  float* s) {
  const N eye = blockIdx.x * blockDim.x + threadIdx.x;
  if (eye * TOGETHER < count)
    numbers(p, q, eye * TOGETHER, params, k, s + eye / LANES * (SHARED * LANES) + eye % LANES);
}
"""

DIALECT = Dialect(_HEAD, _FOOT)
