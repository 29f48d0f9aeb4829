package frame

import (
	"fmt"
	"strings"
)

// maxFrame is the greatest length that is taken for a frame: that of an IP packet.
const maxFrame = 65535

// ParseHex reads a frame that is written in hexadecimal digits, two a byte. Spaces,
// colons and newlines may stand between bytes, and 0x in front of all.
func ParseHex(s string) ([]byte, error) {
	digits, start := s, 0
	if trimmed := strings.TrimLeft(s, " \t\r\n"); len(trimmed) > 1 && strings.EqualFold(trimmed[:2], "0x") {
		digits = trimmed[2:]
		start = len(s) - len(digits) // only ASCII characters are skipped
		if strings.HasPrefix(digits, "0000:") {
			return nil, fmt.Errorf("has line offsets (0x0000:); give only the bytes of the frame")
		}
	}
	b, err := hexBytes(digits, start)
	switch {
	case err != nil:
		return nil, err
	case len(b) < headerLen:
		return nil, fmt.Errorf("%d bytes are shorter than an Ethernet header (want at least %d)", len(b), headerLen)
	case len(b) > maxFrame:
		return nil, fmt.Errorf("%d bytes are too long for a frame (want at most %d)", len(b), maxFrame)
	}
	return b, nil
}

// hexBytes reads digits; start characters stand in front of them, which counts for
// the positions in errors.
func hexBytes(s string, start int) ([]byte, error) {
	var b []byte
	high, count, position := byte(0), 0, start
	for _, r := range s {
		position++
		if strings.ContainsRune(" :\t\r\n", r) {
			if count%2 != 0 {
				return nil, fmt.Errorf("%+q at character %d stands inside a byte (want two hexadecimal digits a byte)", r, position)
			}
			continue
		}
		digit, ok := hexDigit(r)
		if !ok {
			return nil, fmt.Errorf("%+q at character %d is not a hexadecimal digit", r, position)
		}
		if count++; count%2 != 0 {
			high = digit
		} else {
			b = append(b, high<<4|digit)
		}
	}
	if count%2 != 0 {
		return nil, fmt.Errorf("an odd number of hexadecimal digits, %d (want two a byte)", count)
	}
	return b, nil
}

func hexDigit(r rune) (byte, bool) {
	switch {
	case r >= '0' && r <= '9':
		return byte(r - '0'), true
	case r >= 'a' && r <= 'f':
		return byte(r-'a') + 10, true
	case r >= 'A' && r <= 'F':
		return byte(r-'A') + 10, true
	}
	return 0, false
}
