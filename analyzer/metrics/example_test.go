package metrics_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/metrics"
)

func ExampleServe() {
	s, err := metrics.Serve("127.0.0.1:0", metrics.Source{
		Workers: func() []metrics.Worker { return nil },
		Output:  func() logs.OutputStats { return logs.OutputStats{} },
		Weirds:  func() map[string]uint64 { return nil },
		Healthy: func() error { return errors.New("disk full") },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	resp, err := http.Get("http://" + s.Addr() + "/healthz")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s: %s", resp.Status, body)
	// Output: 503 Service Unavailable: disk full
}
