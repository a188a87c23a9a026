package peers

import "net/http"

// bare is net/http with a handler that reads the body and answers: what a publish
// costs before anything is done with it. It has no readers.
func bare() Peer {
	return Peer{
		Name:    "bare",
		Shared:  true,
		Lacks:   []string{Resume, Access},
		Note:    "No server: it only reads and answers.",
		Version: goVersion,
		Command: self("bare"),
		Publish: publishPath,
	}
}

func bareHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /pub/{channel}", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := payload(w, r); ok {
			w.WriteHeader(http.StatusCreated)
		}
	})
	return mux
}
