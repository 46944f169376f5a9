package faults_test

func takePart() {}
