/* lenet5-int8.onnx in C99, for machines with little memory. */

/* image: 28 rows of 28 pixels as MNIST has them, ink 255 on paper 0.
   Returns the digit; its and the others' probabilities are written beside it. Not reentrant. */
int lenet5(const unsigned char image[784], float probabilities[10]);
