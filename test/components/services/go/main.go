// Answers with its name and what the next service says. It forwards the header of its trace, as
// services do that take part in one, and knows nothing of lanes.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	address := os.Getenv("HOST") + ":" + os.Getenv("PORT")
	log.Fatal(http.ListenAndServe(address, http.HandlerFunc(serve)))
}

func serve(writer http.ResponseWriter, request *http.Request) {
	call, err := http.NewRequestWithContext(request.Context(), "GET", os.Getenv("NEXT"), nil)
	if err != nil {
		http.Error(writer, err.Error(), http.StatusInternalServerError)
		return
	}
	call.Header.Set("traceparent", request.Header.Get("traceparent"))
	response, err := http.DefaultClient.Do(call)
	if err != nil {
		http.Error(writer, err.Error(), http.StatusBadGateway)
		return
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		http.Error(writer, err.Error(), http.StatusBadGateway)
		return
	}
	fmt.Fprintf(writer, "go -> %s", body)
}
