/*
 * tune_ridge.h - the theory part of the tuner's model: what each kind of operation costs for each
 * unit of I/O that the cost model predicts, and besides.
 *
 * Least squares of the relative error over eight coefficients that are not negative, drawn slightly
 * towards a prior. Without one of its own that is the theory times one factor, so that a handful of
 * rows gives a usable answer, and the data decides once there are more.
 */
#ifndef OMI_TUNE_RIDGE_H
#define OMI_TUNE_RIDGE_H

#include <stddef.h>

enum { OMI_RIDGE_TERMS = 8 };

struct omi_ridge_row {
    double term[OMI_RIDGE_TERMS];
    double label;  /* positive */
    double weight; /* 0: left out */
};

/* Minimises the sum of weight * ((label - term . coef) / label)^2 plus lambda * the mean squared
 * size of each term times (coef - prior)^2, coef >= 0. A term that never occurs keeps its prior. */
void omi_ridge_fit(const struct omi_ridge_row *rows, size_t count, double lambda,
                   const double prior[OMI_RIDGE_TERMS], double coef_out[OMI_RIDGE_TERMS]);
/* The one factor that brings the sum of the first half of the terms nearest to the labels; 1 without
 * rows. */
double omi_ridge_scale(const struct omi_ridge_row *rows, size_t count);

#endif
