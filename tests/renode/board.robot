*** Comments ***
Runs the board.resc of a generated project, with Renode's own tools alone:

    renode-test --variable PROJECT:/path/to/project --variable UART:sysbus.usart2
    ...         tests/renode/board.robot

The project must have been built. Frames are described in docs/protocol.md: these are the requests
INFO and RESET, and the answer to RESET.

*** Settings ***
Suite Setup         Setup
Suite Teardown      Teardown
Test Setup          Open Board
Test Teardown       Test Teardown
Resource            ${RENODEKEYWORDS}

*** Variables ***
${PROJECT}          .
${UART}             sysbus.usart2
${INFO}             02 01 03 01 01 01 01 01 05 e2 25 b4 5f 00
${RESET}            02 07 03 02 02 01 01 01 05 1b 24 ef 58 00
${RESET_DONE}       02 07 07 02 02 0b e4 ab 60 00

*** Keywords ***
Open Board
    Test Setup
    Execute Script               ${PROJECT}/board.resc
    # A receiver that is not enabled yet would drop what comes.
    Execute Command              pause
    Execute Command              emulation RunFor "0.01"
    Create Terminal Tester       ${UART}    binaryMode=true    defaultPauseEmulation=true

Send
    [Documentation]              Puts bytes into the UART's receiver.
    [Arguments]                  ${bytes}
    ${list}=                     Evaluate    "${bytes}".split()
    FOR    ${byte}    IN    @{list}
        Execute Command          ${UART} WriteChar 0x${byte}
    END

*** Test Cases ***
Should Say What It Runs
    Send                         ${INFO}
    # Encoded by COBS: command, status 0, the request's number, and the version of the protocol.
    ${answer}=                   Wait For Bytes On Uart    \\x02\\x01.\\x01\\x01\\x02    timeout=10    treatAsRegex=true
    Log                          ${answer}

Should Forget And Answer
    Send                         ${RESET}
    Wait For Bytes On Uart       ${RESET_DONE}    timeout=10

Should Refuse What Is No Frame
    Send                         03 01 00
    # No command, status 128 (MALFORMED).
    Wait For Bytes On Uart       01 02 80    timeout=10

Should Stay In Its Program
    Send                         ${RESET}
    Wait For Bytes On Uart       ${RESET_DONE}    timeout=10
    ${place}=                    Execute Command    sysbus FindSymbolAt `cpu PC`
    Should Contain Any           ${place}    port_    frame_    main    protocol_
