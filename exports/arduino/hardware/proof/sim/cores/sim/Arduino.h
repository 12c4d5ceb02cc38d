/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What sketches need of Arduino's interface, and what every core of Arduino defines as macros: a
 * library must live with these.
 */
#ifndef ARDUINO_H
#define ARDUINO_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define HIGH         1
#define LOW          0
#define INPUT        0
#define OUTPUT       1
#define INPUT_PULLUP 2
#define CHANGE       1
#define FALLING      2
#define RISING       3
#define DEFAULT      1
#define EXTERNAL     0
#define DEC          10
#define HEX          16
#define PI           3.1415926535897932384626433832795
#define A0           14
#define B0           0
#define B1           1

#define abs(x)               ((x) > 0 ? (x) : -(x))
#define min(a, b)            ((a) < (b) ? (a) : (b))
#define max(a, b)            ((a) > (b) ? (a) : (b))
#define constrain(x, lo, hi) ((x) < (lo) ? (lo) : ((x) > (hi) ? (hi) : (x)))
#define round(x)             ((x) >= 0 ? (long)((x) + 0.5) : (long)((x) - 0.5))
#define sq(x)                ((x) * (x))
#define bit(b)               (1UL << (b))
#define bitRead(value, bit)  (((value) >> (bit)) & 1)
#define lowByte(w)           ((uint8_t)((w) & 0xff))
#define highByte(w)          ((uint8_t)((w) >> 8))
#define interrupts()
#define noInterrupts()
#define F(text) (text)

typedef bool boolean;
typedef uint8_t byte;
typedef unsigned int word;

#ifdef __cplusplus
extern "C" {
#endif

void setup(void);
void loop(void);
unsigned long micros(void);
unsigned long millis(void);
void delay(unsigned long ms);
void pinMode(int pin, int mode);
int digitalRead(int pin); /**< a button that is held every other time */
int analogRead(int pin);

#ifdef __cplusplus
}

class Print {
  public:
    size_t print(const char *text);
    size_t print(int value, int base = DEC) {
        return print(static_cast<long>(value), base);
    }
    size_t print(unsigned int value, int base = DEC) {
        return print(static_cast<unsigned long>(value), base);
    }
    size_t print(long value, int base = DEC);
    size_t print(unsigned long value, int base = DEC);
    size_t println() {
        return print("\n");
    }
    template <typename Value> size_t println(Value value) {
        return print(value) + println();
    }
    template <typename Value> size_t println(Value value, int base) {
        return print(value, base) + println();
    }
};

class SerialPort : public Print {
  public:
    void begin(unsigned long) {}
    explicit operator bool() const {
        return true;
    }
};

extern SerialPort Serial;
#endif
#endif
