// Two networks: the first learns and saves, the second stands for a device that starts again.
#include <EEPROM.h>
#include <ToyNetwork.h>
#include <spela_eeprom.h>

ToyNetwork first, second;
ToyNetwork::Sample sample;
SpelaEeprom eeprom(0, EEPROM.length());

void tell(const char *name, bool value) {
    Serial.print(name);
    Serial.println(value ? ": yes" : ": no");
}

void setup() {
    Serial.begin(115200);
    tell("predicts before begin", first.predict(sample) != ToyNetwork::UNKNOWN);
    tell("begins", first.begin() && second.begin());
    tell("loads what is not there", first.load(eeprom));
    for (int step = 0; step < 20; step++) {
        for (int k = 0; k < static_cast<int>(TOY_INPUTS); k++) {
            sample[k] = static_cast<int8_t>((step * 37 + k * k * 11) % 255 - 127);
        }
        first.learn(sample, step % static_cast<int>(TOY_CLASSES));
    }
    tell("learns no class", first.learn(sample, -1) || first.learn(sample, TOY_CLASSES));
    tell("saves", first.save(eeprom));
    tell("loads", second.load(eeprom));
    Serial.print("digests: ");
    Serial.print(first.digest(), HEX);
    Serial.print(" ");
    Serial.println(second.digest(), HEX);
    SpelaEeprom small(0, 2 * first.slotBytes(4) - 8);
    tell("saves where there is no room", first.save(small));
    tell("forgets", first.forget());
    Serial.println(first.digest(), HEX);
    Serial.println(ToyNetwork::className(-1));
}

void loop() {
}
