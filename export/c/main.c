/* Reads digits from PGM files of 28x28: lenet5 seven.pgm ... */

#include <stdio.h>

#include "lenet5.h"

static int read_pgm(FILE *file, unsigned char image[784]) {
  int width = 0, height = 0, most = 0;
  return fscanf(file, "P5 %d %d %d", &width, &height, &most) == 3 && width == 28 && height == 28 &&
         most == 255 && fgetc(file) != EOF && fread(image, 1, 784, file) == 784;
}

int main(int count, char **paths) {
  unsigned char image[784];
  float probabilities[10];
  int failed = 0;
  if (count < 2) {
    fprintf(stderr, "Usage: lenet5 FILE.pgm ...\n");
    return 2;
  }
  for (int i = 1; i < count; i++) {
    FILE *file = fopen(paths[i], "rb");
    int whole = file && read_pgm(file, image);
    if (file) fclose(file);
    if (!whole) {
      const char *why = file ? "is no binary PGM of 28x28 pixels, 0 to 255" : "cannot be opened";
      fprintf(stderr, "%s %s.\n", paths[i], why);
      failed = 1;
      continue;
    }
    int digit = lenet5(image, probabilities);
    printf("%s\t%d", paths[i], digit);
    for (int each = 0; each < 10; each++) printf(" %.6f", (double)probabilities[each]);
    printf("\n");
  }
  return failed;
}
