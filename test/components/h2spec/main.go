// The real h2spec, built from its published module: h2spec PORT REPORT runs every case against that
// port of this machine, over prior knowledge, and writes a JUnit report.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/summerwind/h2spec"
	"github.com/summerwind/h2spec/config"
)

func main() {
	port, err := strconv.Atoi(os.Args[1])
	if err == nil {
		_, err = h2spec.Run(&config.Config{
			Host:         "127.0.0.1",
			Port:         port,
			Path:         "/",
			Timeout:      4 * time.Second,
			MaxHeaderLen: 4000,
			JUnitReport:  os.Args[2],
			Strict:       true,
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
