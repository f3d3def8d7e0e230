// The packages that the analyzer is tested with, around declarations of package conn.
module example.com/conn

go 1.26
