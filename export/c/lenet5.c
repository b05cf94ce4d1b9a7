/* Bytes times bytes summed in whole numbers, as lenet5-int8.onnx has it. What comes between two
   layers, tanh and the scales, is a table of 256; pooling is done before anything is stored. */

#include "lenet5.h"

#include <math.h>
#include <stdint.h>

#include "weights.h"

enum { EDGE = 5 }; /* of a kernel */

static uint8_t maps1[MAPS1 * SIDE1 * SIDE1];
static uint8_t maps2[MAPS2 * SIDE2 * SIDE2];

/* A sum in the next layer's unit: rounded half to even, held to a byte. */
static uint8_t byte_of(int32_t sum, float scale, int zero) {
  long value = lrintf((float)sum * scale) + zero;
  return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static int32_t kernel_at(const uint8_t *in, int channels, int side, const int8_t *kernel) {
  int32_t sum = 0;
  for (int channel = 0; channel < channels; channel++, in += side * side)
    for (int row = 0; row < EDGE; row++)
      for (int column = 0; column < EDGE; column++) sum += in[row * side + column] * *kernel++;
  return sum;
}

/* Kernels 5x5, the largest of each 2x2, tanh. */
static void layer(const uint8_t *in, int channels, int side, const int8_t *kernels,
                  const int32_t *bias, const float *scale, int zero, const uint8_t *tanh_of,
                  uint8_t *out, int maps) {
  int pooled = (side - EDGE + 1) / 2;
  for (int map = 0; map < maps; map++, kernels += channels * EDGE * EDGE)
    for (int row = 0; row < pooled; row++)
      for (int column = 0; column < pooled; column++) {
        int32_t largest = INT32_MIN;
        for (int i = 0; i < 4; i++) {
          const uint8_t *corner = in + (2 * row + i / 2) * side + 2 * column + i % 2;
          int32_t sum = kernel_at(corner, channels, side, kernels);
          if (sum > largest) largest = sum;
        }
        *out++ = tanh_of[byte_of(largest + bias[map], scale[map], zero)];
      }
}

int lenet5(const unsigned char image[784], float probabilities[10]) {
  layer(image, 1, SIDE, conv1_kernel, conv1_bias, conv1_scale, CONV1_ZERO, conv1_tanh, maps1,
        MAPS1);
  layer(maps1, MAPS1, SIDE1, conv2_kernel, conv2_bias, conv2_scale, CONV2_ZERO, conv2_tanh, maps2,
        MAPS2);

  for (int digit = 0; digit < 10; digit++) probabilities[digit] = logits_bias[digit];
  for (int unit = 0; unit < HIDDEN; unit++) {
    int32_t sum = hidden_bias[unit];
    for (int i = 0; i < MAPS2 * SIDE2 * SIDE2; i++)
      sum += maps2[i] * hidden_kernel[unit * MAPS2 * SIDE2 * SIDE2 + i];
    float value = hidden_tanh[byte_of(sum, hidden_scale[unit], HIDDEN_ZERO)];
    for (int digit = 0; digit < 10; digit++)
      probabilities[digit] += value * logits_kernel[unit * 10 + digit];
  }

  int best = 0;
  for (int digit = 1; digit < 10; digit++)
    if (probabilities[digit] > probabilities[best]) best = digit;
  float largest = probabilities[best], total = 0;
  for (int digit = 0; digit < 10; digit++)
    total += probabilities[digit] = expf(probabilities[digit] - largest);
  for (int digit = 0; digit < 10; digit++) probabilities[digit] /= total;
  return best;
}
