// Sends letters on one connection with Go's net/smtp: client JOB. src/clients.rs says what a job is.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/smtp"
	"os"
	"strconv"
)

type letter struct {
	From string   `json:"from"`
	To   []string `json:"to"`
	File string   `json:"file"`
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: client JOB")
	}
	text, err := os.ReadFile(os.Args[1])
	check(err)
	var job struct {
		Host      string   `json:"host"`
		Port      int      `json:"port"`
		Letters   []letter `json:"letters"`
		Authority string   `json:"authority"`
		User      string   `json:"user"`
		Password  string   `json:"password"`
	}
	check(json.Unmarshal(text, &job))
	client, err := smtp.Dial(net.JoinHostPort(job.Host, strconv.Itoa(job.Port)))
	check(err)
	if job.Authority != "" {
		authority, err := os.ReadFile(job.Authority)
		check(err)
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(authority)
		check(client.StartTLS(&tls.Config{ServerName: job.Host, RootCAs: pool}))
	}
	if job.User != "" {
		check(client.Auth(smtp.PlainAuth("", job.User, job.Password, job.Host)))
	}
	for _, letter := range job.Letters {
		send(client, letter)
	}
	check(client.Quit())
}

// send declares 8BITMIME and SMTPUTF8 whenever the server offers them: the library does so itself.
func send(client *smtp.Client, letter letter) {
	text, err := os.ReadFile(letter.File)
	check(err)
	check(client.Mail(letter.From))
	var refused error
	accepted := 0
	for _, recipient := range letter.To {
		if err := client.Rcpt(recipient); err != nil {
			fmt.Println("refused:", recipient, err)
			refused = err
		} else {
			accepted++
		}
	}
	if accepted == 0 {
		check(refused)
	}
	data, err := client.Data()
	check(err)
	_, err = data.Write(text)
	check(err)
	check(data.Close())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
