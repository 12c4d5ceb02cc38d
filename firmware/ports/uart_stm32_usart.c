/* USART of STM32F2 and F4 (reference manual RM0090: RCC 7.3, GPIO 8.4, USART 30.6). */
#include "board.h"
#include "port.h"

typedef struct {
    volatile uint32_t status;
    volatile uint32_t data;
    volatile uint32_t baud_rate;
    volatile uint32_t control_1;
} usart_t;

typedef struct {
    volatile uint32_t mode;
    volatile uint32_t output_type;
    volatile uint32_t output_speed;
    volatile uint32_t pull;
    volatile uint32_t input;
    volatile uint32_t output;
    volatile uint32_t set_reset;
    volatile uint32_t lock;
    volatile uint32_t alternate[2];
} gpio_t;

#define STATUS_RX_NOT_EMPTY (1U << 5)
#define STATUS_TX_EMPTY     (1U << 7)
#define CONTROL_RX_ENABLE   (1U << 2)
#define CONTROL_TX_ENABLE   (1U << 3)
#define CONTROL_USART       (1U << 13)
#define MODE_ALTERNATE      2U
#define PULL_UP             1U

/* Oversampling by 16: the register holds clock / baud, four bits of it behind the point. */
#define BAUD_DIVIDER ((BOARD_UART_CLOCK_HZ + (BOARD_UART_BAUD / 2U)) / BOARD_UART_BAUD)
#if BAUD_DIVIDER < 16 || BAUD_DIVIDER > 65535
#error "BOARD_UART_BAUD cannot be had from BOARD_UART_CLOCK_HZ: the divider is 16 to 65535"
#endif

static usart_t *usart(void) {
    return (usart_t *)(uintptr_t)BOARD_UART_BASE;
}

static void enable_clock(uintptr_t address, uint32_t mask) {
    volatile uint32_t *enable = (volatile uint32_t *)address;
    *enable |= mask;
    (void)*enable; /* The clock runs two cycles after the write: reading it back waits. */
}

/* Hands a pin to its alternate function, with a pull-up: an open line idles. */
static void connect_pin(uintptr_t address, uint32_t pin, uint32_t function) {
    gpio_t *gpio = (gpio_t *)address;
    const uint32_t two_bits = 2U * pin;
    const uint32_t four_bits = 4U * (pin % 8U);
    volatile uint32_t *alternate = &gpio->alternate[pin / 8U];
    *alternate = (*alternate & ~(15U << four_bits)) | (function << four_bits);
    gpio->pull = (gpio->pull & ~(3U << two_bits)) | (PULL_UP << two_bits);
    gpio->mode = (gpio->mode & ~(3U << two_bits)) | (MODE_ALTERNATE << two_bits);
}

void port_init(void) {
    enable_clock(BOARD_UART_TX_PORT_CLOCK, BOARD_UART_TX_PORT_CLOCK_MASK);
    enable_clock(BOARD_UART_RX_PORT_CLOCK, BOARD_UART_RX_PORT_CLOCK_MASK);
    enable_clock(BOARD_UART_CLOCK, BOARD_UART_CLOCK_MASK);
    connect_pin(BOARD_UART_TX_PORT, BOARD_UART_TX_PIN, BOARD_UART_TX_FUNCTION);
    connect_pin(BOARD_UART_RX_PORT, BOARD_UART_RX_PIN, BOARD_UART_RX_FUNCTION);
    usart()->baud_rate = BAUD_DIVIDER;
    usart()->control_1 = CONTROL_USART | CONTROL_TX_ENABLE | CONTROL_RX_ENABLE;
}

uint8_t port_read(void) {
    /* Reading status and then data also clears an overrun, noise or framing error. */
    while ((usart()->status & STATUS_RX_NOT_EMPTY) == 0U) {
        /* Nothing received yet. */
    }
    return (uint8_t)usart()->data;
}

void port_write(uint8_t byte) {
    while ((usart()->status & STATUS_TX_EMPTY) == 0U) {
        /* The transmitter is busy. */
    }
    usart()->data = byte;
}
