/* SPDX-License-Identifier: Apache-2.0 */
#include "Arduino.h"
#include "start.h"

SerialPort Serial;

size_t Print::print(const char *text) {
    size_t count = 0;
    for (; text[count] != '\0'; count++) {
        say(text[count]);
    }
    return count;
}

size_t Print::print(unsigned long value, int base) {
    char text[33];
    size_t at = sizeof text - 1;
    text[at] = '\0';
    do {
        at--;
        text[at] = "0123456789ABCDEF"[value % static_cast<unsigned long>(base)];
        value /= static_cast<unsigned long>(base);
    } while (value != 0);
    return print(&text[at]);
}

size_t Print::print(long value, int base) {
    if (value < 0 && base == DEC) {
        return print("-") + print(0UL - static_cast<unsigned long>(value), base);
    }
    return print(static_cast<unsigned long>(value), base);
}

unsigned long micros(void) {
    return 10000UL * hundredths();
}

unsigned long millis(void) {
    return 10UL * hundredths();
}

void delay(unsigned long) {}

void pinMode(int, int) {}

int digitalRead(int) {
    static int calls;
    return ++calls % 2 == 0 ? LOW : HIGH;
}

int analogRead(int pin) {
    static int calls;
    return (++calls * 37 + pin) % 1024;
}

int main(void) {
    setup();
    for (int turn = 0; turn < 4; turn++) { /* enough for a test */
        loop();
    }
    return 0;
}
