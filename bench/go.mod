module dicom-qr-gateway/bench

go 1.26.0
