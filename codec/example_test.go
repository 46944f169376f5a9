package codec_test

import (
	"fmt"

	"github.com/heraldbus/herald/codec"
)

type Reading struct {
	Station string  `json:"station"`
	Celsius float64 `json:"celsius"`
}

func ExampleJSON() {
	c := codec.JSON[Reading]()
	payload, err := c.Append(nil, Reading{"paris", 21.5})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s %s\n", c.ContentType(), payload)

	r, err := c.Decode(payload)
	fmt.Println(r.Station, r.Celsius, err)

	_, err = c.Decode([]byte(`{"celsius":1} {"celsius":2}`))
	fmt.Println(err)
	// Output:
	// application/json {"station":"paris","celsius":21.5}
	// paris 21.5 <nil>
	// codec: decode codec_test.Reading: invalid character '{' after top-level value at offset 15
}

func ExampleText() {
	c := codec.Text()
	payload, _ := c.Append(nil, "21.5 °C")
	fmt.Printf("%q\n", payload)

	_, err := c.Decode([]byte("21.5 \xb0C")) // ISO 8859-1
	fmt.Println(err)
	// Output:
	// "21.5 °C"
	// codec: decode string: byte 0xb0 at offset 5 is not UTF-8: use codec.Bytes for arbitrary bytes
}

func ExampleBytes() {
	c := codec.Bytes()
	payload, _ := c.Append(nil, []byte{0xff, 0x00})
	back, _ := c.Decode(payload)
	fmt.Println(payload, back)
	// Output:
	// [255 0] [255 0]
}
